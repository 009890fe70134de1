//! The last word before a message is complete.

/// Says whether a message may still be sent. Asked immediately before the last bytes
/// without which the peer cannot accept it.
pub trait Gate: Send + Sync {
    /// Whether it may.
    fn is_open(&self) -> impl Future<Output = bool> + Send;
}

impl<F: Fn() -> bool + Send + Sync> Gate for F {
    async fn is_open(&self) -> bool {
        self()
    }
}
