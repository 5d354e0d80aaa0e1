//! The values of fields that the front writes itself.

use http::HeaderValue;

/// Ends the connection after this message.
pub(crate) const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Names the `Upgrade` field as one of this connection.
pub(crate) const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
