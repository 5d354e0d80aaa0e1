//! Stolen, replayed, forged and misdirected requests.
