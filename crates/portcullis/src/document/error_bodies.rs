//! Bodies of errors that take the place of problem details.

use http::{HeaderValue, StatusCode};
use portcullis_config::{Context, Spanned, object};
use portcullis_core::error_bodies::{ErrorBodies, ErrorBody};
use std::path::PathBuf;
use std::sync::Arc;

/// A body is kept in memory and sent to whoever causes an error.
const MOST_BYTES: usize = 64 * 1024;

object! {
    /// The body of error answers with these statuses.
    pub struct ErrorBodyConfig {
        /// The statuses, from 400 to 599.
        pub statuses: Spanned<Vec<u16>>,
        /// The file with the body, in UTF-8, up to 64 KiB. `{request_id}` in it stands for the id of the request. It is read
        /// when the configuration is loaded.
        pub file: Spanned<PathBuf>,
        /// The content type of the body, such as `text/html; charset=utf-8`.
        pub content_type: Spanned<String>,
    }
}

impl ErrorBodyConfig {
    /// Adds the body. `None` means that an error was pushed.
    pub(crate) fn add_to(&self, bodies: &mut ErrorBodies, cx: &mut Context) -> Option<()> {
        let mut refuse = |span, message: String, help: &str| {
            cx.error("config.error_body", span, message).help(help.to_owned());
            None
        };
        let content_type = match HeaderValue::from_str(&self.content_type.value) {
            Ok(value) if self.content_type.value.contains('/') && self.content_type.value.is_ascii() => value,
            Ok(_) | Err(_) => {
                let message = "this is not a content type".to_owned();
                return refuse(
                    self.content_type.span,
                    message,
                    "write one such as `text/html; charset=utf-8`",
                );
            }
        };
        let text = match std::fs::read_to_string(&self.file.value) {
            Ok(text) if text.len() <= MOST_BYTES => text,
            Ok(_) => {
                let message = format!("the file has more than {MOST_BYTES} bytes");
                return refuse(self.file.span, message, "write a shorter body");
            }
            Err(error) => {
                return refuse(
                    self.file.span,
                    format!("the file cannot be read: {error}"),
                    "give the path of a file in UTF-8",
                );
            }
        };
        let body = Arc::new(ErrorBody { content_type, text });
        if self.statuses.value.is_empty() {
            return refuse(self.statuses.span, "a body for no status".to_owned(), "write `statuses: [404]`");
        }
        for status in &self.statuses.value {
            let known = StatusCode::from_u16(*status)
                .ok()
                .filter(|known| known.is_client_error() || known.is_server_error());
            let Some(known) = known else {
                return refuse(
                    self.statuses.span,
                    format!("{status} is not the status of an error"),
                    "write numbers from 400 to 599",
                );
            };
            if bodies.get(known).is_some() {
                return refuse(
                    self.statuses.span,
                    format!("the status {status} has two bodies"),
                    "keep one of them",
                );
            }
            bodies.insert(known, Arc::clone(&body));
        }
        Some(())
    }
}
