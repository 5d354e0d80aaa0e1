//! A router of axum behind the gateway.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use portcullis::{ApiKey, Consumer, Gateway, RateLimit, Security, StartError};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let app =
        Router::new().route("/orders/{id}", get(order)).route("/me", get(me)).route("/length", post(length));

    let gateway = Gateway::builder()
        .security(
            Security::new()
                .authentication(ApiKey::header("x-api-key"))
                .rate_limiting(RateLimit::per_minute(100))
                .max_body_size(1024 * 1024),
        )
        .consumer(Consumer::new("alice").key("alices-key-0123456789abcdef"))
        .mount("/{*rest}", app);
    gateway.listen(port()).await
}

async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}\n")
}

/// The gateway says who it is. No client can set this header.
async fn me(headers: HeaderMap) -> String {
    let name = headers.get("x-consumer-name").and_then(|name| name.to_str().ok());
    format!("you are {}\n", name.unwrap_or("nobody"))
}

async fn length(body: String) -> String {
    format!("{} bytes\n", body.len())
}

/// Port 3000, or the first argument.
fn port() -> u16 {
    std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(3000)
}
