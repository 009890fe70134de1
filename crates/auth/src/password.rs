//! Password hashing: argon2id in PHC string format.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::TryRngCore;

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
    let salt = SaltString::encode_b64(&salt).map_err(|e| failed(&e))?;
    let hash = hasher()
        .hash_password(password.as_bytes(), &salt)
        .map_err(|e| failed(&e))?;
    Ok(hash.to_string())
}

/// [`hash_password_blocking`] on a blocking thread.
pub async fn hash_password(password: String) -> Result<String, PasswordError> {
    match tokio::task::spawn_blocking(move || hash_password_blocking(&password)).await {
        Ok(result) => result,
        Err(e) => Err(PasswordError::Hashing(e.to_string())),
    }
}

/// Whether `password` fits `verifier`; None if that is no usable verifier.
pub(crate) fn check(password: &str, verifier: &str) -> Option<bool> {
    let hash = PasswordHash::new(verifier).ok()?;
    // The parameters are the verifier's own: old ones stay valid when ours change.
    Some(hasher().verify_password(password.as_bytes(), &hash).is_ok())
}
