//! Password hashing: argon2id in PHC string format.

use argon2::password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use rand::TryRngCore;
use tokio::sync::Semaphore;

/// The most bytes in a password.
pub(crate) const MAX_PASSWORD: usize = 1024;

/// Why a password cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Empty, too long, or with a character that clients cannot send.
    #[error("a password has 1 to {MAX_PASSWORD} bytes and no NUL, carriage return or line feed")]
    Unusable,
    /// The system gave no randomness, or hashing failed.
    #[error("the password could not be hashed: {0}")]
    Hashing(String),
}

/// RFC 9106 leaves the choice; 19 MiB, 2 passes, 1 lane takes some 20 ms and
/// bounds what parallel logins cost in memory.
fn hasher() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("constants within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The verifier of `password` in PHC string format, with a fresh salt. Takes
/// tens of milliseconds: see [`hash_password`] for async callers.
pub fn hash_password_blocking(password: &str) -> Result<String, PasswordError> {
    let bad = |b: u8| matches!(b, 0 | b'\r' | b'\n');
    if password.is_empty() || password.len() > MAX_PASSWORD || password.bytes().any(bad) {
        return Err(PasswordError::Unusable);
    }
    let failed = |e: &dyn std::fmt::Display| PasswordError::Hashing(e.to_string());
    let mut salt = [0; 16];
    rand::rngs::OsRng
        .try_fill_bytes(&mut salt)
        .map_err(|e| failed(&e))?;
    let hash = HASHING.with(|blocks| hash(password, &salt, blocks));
    hash.map_err(|e| failed(&e))
}

fn hash(
    password: &str,
    salt: &[u8],
    blocks: &mut Vec<Block>,
) -> argon2::password_hash::Result<String> {
    let hasher = hasher();
    let params = hasher.params();
    blocks.resize(params.block_count(), Block::default());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    hasher.hash_password_into_with_memory(password.as_bytes(), salt, &mut output, &mut *blocks)?;
    let salt = SaltString::encode_b64(salt)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&output)?),
    };
    Ok(hash.to_string())
}

/// So many passwords are hashed at once for async callers.
static PERMITS: Semaphore = Semaphore::const_new(4);

/// [`hash_password_blocking`] on a blocking thread. Waits while many others hash.
pub async fn hash_password(password: String) -> Result<String, PasswordError> {
    let _permit = PERMITS
        .acquire()
        .await
        .map_err(|e| PasswordError::Hashing(e.to_string()))?;
    match tokio::task::spawn_blocking(move || hash_password_blocking(&password)).await {
        Ok(result) => result,
        Err(e) => Err(PasswordError::Hashing(e.to_string())),
    }
}

/// What new passwords are hashed in.
static HASHING: Memory = Memory(Mutex::new(Vec::new()));

/// The memory of password checks and hashes, used again and again: allocated for
/// each, it would stay with the heap of every thread that ever made one.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<Vec<Block>>>);

impl Memory {
    /// Whether `password` fits `verifier`; None if that is no usable verifier.
    /// Takes tens of milliseconds.
    pub(crate) fn check(&self, password: &str, verifier: &str) -> Option<bool> {
        self.with(|blocks| check(password, verifier, blocks))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Block>) -> T) -> T {
        let mut blocks = self.0.lock().pop().unwrap_or_default();
        let done = work(&mut blocks);
        self.0.lock().push(blocks);
        done
    }
}

fn check(password: &str, verifier: &str, blocks: &mut Vec<Block>) -> Option<bool> {
    let hash = PasswordHash::new(verifier).ok()?;
    let (expected, salt) = (hash.hash?, hash.salt?);
    // The parameters are the verifier's own: old ones stay valid when ours change.
    let params = Params::try_from(&hash).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm).ok()?;
    let version = Version::try_from(hash.version?).ok()?;
    blocks.resize(params.block_count(), Block::default());
    let mut salt_bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_bytes).ok()?;
    let mut output = vec![0; expected.len()];
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, &mut *blocks)
        .ok()?;
    // `Output` compares in constant time.
    Some(Output::new(&output).ok()? == expected)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher;

    use super::*;

    #[test]
    fn a_password_fits_its_verifier_and_nothing_else() {
        let memory = Memory::default();
        let verifier = hash_password_blocking("correct horse").unwrap();
        for _ in 0..2 {
            assert_eq!(memory.check("correct horse", &verifier), Some(true));
            assert_eq!(memory.check("Correct horse", &verifier), Some(false));
        }
        // Made with other parameters: 8 MiB, 3 passes, and 64 bytes of output.
        let other = Params::new(8 * 1024, 3, 1, Some(64)).unwrap();
        let other = Argon2::new(Algorithm::Argon2id, Version::V0x13, other);
        let salt = SaltString::encode_b64(b"sixteen bytes!!!").unwrap();
        let verifier = other.hash_password(b"old", &salt).unwrap().to_string();
        assert_eq!(memory.check("old", &verifier), Some(true));
        assert_eq!(memory.check("new", &verifier), Some(false));
        assert_eq!(memory.check("old", "$argon2id$nonsense"), None);
        assert_eq!(
            memory.0.lock().len(),
            1,
            "one check at a time needs one memory"
        );
    }
}
