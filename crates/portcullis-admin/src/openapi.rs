//! The description of the admin API, made from the table of endpoints (OpenAPI 3.1).

use crate::endpoints::{Does, ENDPOINTS};
use crate::tokens::Role;
use serde_json::{Map, Value, json};

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let item = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let kind = match endpoint.does {
            Does::Tells(_) | Does::Orders(_) => "application/json",
            Does::Shows(_) | Does::ShowsLater(_) => "*/*",
        };
        let mut responses = json!({ "200": { "description": "Done.", "content": { kind: {} } } });
        if let (Some(responses), Some(role)) = (responses.as_object_mut(), endpoint.role) {
            responses.insert("401".into(), json!({ "description": "No token, or one that is not known." }));
            if role == Role::Operator {
                responses.insert("403".into(), json!({ "description": "The token has the role read_only." }));
            }
        }
        let mut operation = json!({ "summary": endpoint.summary, "responses": responses });
        let Some(object) = operation.as_object_mut() else { continue };
        if let Some(role) = endpoint.role {
            object.insert("security".into(), json!([{ "token": [] }]));
            object.insert("x-role".into(), role.as_str().into());
        }
        if let Some(name) = endpoint.path.split(['{', '}']).nth(1) {
            let parameter =
                json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
            object.insert("parameters".into(), json!([parameter]));
        }
        if let Some(item) = item.as_object_mut() {
            item.insert(endpoint.method.to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Portcullis admin API", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_described_once() {
        let document = document();
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
        assert_eq!(described, ENDPOINTS.len());
        assert_eq!(document["paths"]["/api/v1/blocks"]["post"]["x-role"], "operator");
        for endpoint in ENDPOINTS {
            // A token that may only read is shown no key.
            let orders = endpoint.method != "GET" || endpoint.path == "/keys/made";
            assert_eq!(
                orders,
                endpoint.role == Some(Role::Operator),
                "{} {}",
                endpoint.method,
                endpoint.path
            );
        }
    }
}
