//! Randomness for ids and secrets.

use postrider_types::Random;
use rand::RngCore;

/// Ids and secrets of the domain, from the thread's generator (ChaCha, seeded
/// and reseeded by the system).
pub(crate) struct ThreadRandom;

impl Random for ThreadRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}
