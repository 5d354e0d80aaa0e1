//! A small program with a secured route, in which the gateway is a library.
//!
//! ```sh
//! cargo run --example secured_data
//! curl -i http://127.0.0.1:3000/data -H 'x-api-key: 12345'
//! ```

#![expect(clippy::print_stdout, reason = "the program says where it runs")]

use portcullis::{ApiKey, Gateway, Json, RateLimit, Security, StartError};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    // Another port as the first argument, for those who have something else on this one.
    let port = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok()).unwrap_or(3000);
    let gateway = Gateway::builder()
        .security(
            Security::new()
                .authentication(ApiKey::header("x-api-key").keys(["12345", "67890"]))
                .rate_limiting(RateLimit::per_minute(5)),
        )
        .route("/data", |_request| async { Json(json!({ "message": "Secure data accessed" })) })
        .start(port)?;
    let port = gateway.addresses().first().map_or(port, |address| address.port());
    println!("API Gateway running on port {port}");
    gateway.until_stopped().await
}
