//! The built-in checks, a file each, in folders by stage.
//!
//! | stage   | file                  | decides                                                  |
//! |---------|-----------------------|----------------------------------------------------------|
//! | screen  | [`screen::addresses`]   | from which addresses requests may come                   |
//! | authn   | [`authn::api_key`]      | whose API key it is                                      |
//! | authn   | [`authn::basic`]       | whose name and password it is                            |
//! | authz   | [`authz::roles`]        | whether the principal has a role that the route asks for |
//! | quota   | [`quota::rate_limit`]   | how many requests                                        |
//! | inspect | [`inspect::body_size`]  | how large a body                                         |
//! | inspect | [`inspect::graphql`]    | what a GraphQL request may ask for                       |
//! | inspect | [`inspect::validation`] | whether a JSON body fits a schema                        |
//! | inspect | [`inspect::openapi`]    | whether a request is as an OpenAPI document declares it  |
//!
//! Each file holds what can be written (`FooConfig`), what runs (`Foo`), and how the one becomes the other. A new check is
//! one new file and one line in a registry: of sections in [`security`], of methods in [`authn::method`].

pub mod authn;
pub mod authz;
pub mod build;
pub mod byte_cache;
pub mod cidr;
pub mod claim_path;
pub mod expression;
pub mod flights;
pub mod inspect;
pub mod json;
pub mod mode;
pub mod quota;
pub mod reason;
pub mod rehearsal;
pub mod screen;
pub mod section;
pub mod security;
pub mod shape;
pub mod token;
#[cfg(test)]
mod trial;

pub use build::Build;
pub use cidr::Cidr;
pub use inspect::openapi::OpenapiConfig;
pub use mode::ModeConfig;
pub use reason::Reason;
pub use security::{RouteAuthentication, SecurityConfig};
