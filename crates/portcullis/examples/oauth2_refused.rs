//! OAuth 2 can be written down, and this version refuses it: a gateway that took the words without the deed would be open.
//!
//! ```sh
//! cargo run --example oauth2_refused
//! ```

#![expect(clippy::print_stdout, reason = "the program shows the refusal")]

use portcullis::{Gateway, Json};
use serde_json::json;

fn main() {
    let refused = Gateway::builder()
        .configure_security(json!({
            "authentication": { "type": "OAuth2", "token_url": "https://auth.example.com/token" },
            "authorization": { "roles_allowed": ["admin", "user"] },
            "rate_limiting": { "max_requests": 1000, "per_minute": true },
        }))
        .route("/data", |_request| async { Json(json!({ "message": "Secure data accessed" })) })
        .build(3000);
    match refused {
        Ok(_) => println!("the gateway would start"),
        Err(error) => println!("{error}"),
    }
}
