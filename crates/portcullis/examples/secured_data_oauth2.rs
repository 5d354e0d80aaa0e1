//! A secured route whose clients bring access tokens of an authorization server.
//!
//! ```sh
//! cargo run --example secured_data_oauth2 -- 3000 https://auth.example.com/token
//! curl -i http://127.0.0.1:3000/data -H "authorization: Bearer $TOKEN"
//! ```
//!
//! An authorization server that is not on the public Internet is asked only if its network is named after its URL, such as
//! `127.0.0.0/8`.

#![expect(clippy::print_stdout, reason = "the program says where it runs")]

use portcullis::{Gateway, Json, StartError};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(3000);
    let token_url = arguments.next().unwrap_or_else(|| "https://auth.example.com/token".to_owned());
    let gateway = Gateway::builder()
        .configure_security(json!({
            "authentication": { "type": "OAuth2", "token_url": token_url },
            "authorization": { "roles_allowed": ["admin", "user"] },
            "rate_limiting": { "max_requests": 1000, "per_minute": true },
        }))
        .allow_outbound(arguments)
        .route("/data", |_request| async { Json(json!({ "message": "Secure data accessed" })) })
        .start(port)?;
    let port = gateway.addresses().first().map_or(port, |address| address.port());
    println!("API Gateway running on port {port}");
    gateway.until_stopped().await
}
