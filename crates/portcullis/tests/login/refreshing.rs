//! Refresh: once for all requests of a session, and what a provider that is down does.
