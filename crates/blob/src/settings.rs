//! Where objects lie and how patient requests are. Part of the node's settings
//! file.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use postrider_types::human;
use serde::Deserialize;

use crate::Error;

/// Settings of the object store: exactly one of `folder` and `s3`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Keep objects as files in this folder, made where it does not exist. For
    /// one node, or a file system that all nodes share.
    pub folder: Option<PathBuf>,
    /// Keep objects in a bucket of an S3-compatible store.
    pub s3: Option<S3>,
    /// Memory for recently read pieces of objects, in bytes; 0 keeps none.
    #[serde(with = "human::size")]
    pub cache_size: u64,
    /// Memory for the parts of large objects on their way in, in bytes, at
    /// least twice `part_size`. Uploads beyond it wait up to `deadline`, then fail;
    /// while they wait, those whose senders stall for 5 seconds are given up.
    #[serde(with = "human::size")]
    pub upload_memory: u64,
    /// Objects larger than this are uploaded in parts of this size, in bytes:
    /// 5 MiB (S3 takes no smaller ones) to 64 MiB.
    #[serde(with = "human::size")]
    pub part_size: u64,
    /// How long one attempt of a request may take.
    #[serde(with = "human::duration")]
    pub attempt_timeout: Duration,
    /// How long a request may take with all its attempts.
    #[serde(with = "human::duration")]
    pub deadline: Duration,
    /// The pause before the first retry; it doubles from one
    /// to the next, with jitter, up to 5 seconds.
    #[serde(with = "human::duration")]
    pub retry_pause: Duration,
    /// The pause between looks whether a store that did not answer is back.
    #[serde(with = "human::duration")]
    pub probe_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: None,
            s3: None,
            cache_size: 64 << 20,
            upload_memory: 128 << 20,
            part_size: 8 << 20,
            attempt_timeout: Duration::from_millis(20_000),
            deadline: Duration::from_millis(45_000),
            retry_pause: Duration::from_millis(100),
            probe_pause: Duration::from_millis(2_000),
        }
    }
}

/// A bucket of an S3-compatible store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// The bucket's name. It must exist.
    pub bucket: String,
    /// What all keys begin with, so that several clusters can share a bucket.
    /// Empty for none.
    pub prefix: String,
    /// The store's address, such as `https://s3.example.org`. Not set: Amazon's,
    /// or `AWS_ENDPOINT_URL` from the environment.
    pub endpoint: Option<String>,
    /// The region. Not set: `AWS_REGION` from the environment, else `us-east-1`.
    pub region: Option<String>,
    /// The access key. Not set: from the environment (`AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`, a web identity) or from the instance.
    pub access_key_id: Option<String>,
    /// The access key's secret.
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary keys.
    pub session_token: Option<Secret>,
    /// Address the bucket as `bucket.host` instead of `host/bucket`.
    pub virtual_host: bool,
    /// Allow `http://` to a host other than this one: mail crosses the network
    /// in plain text.
    pub allow_http: bool,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Settings {
    /// The same for the place that `url` names: `s3://BUCKET/PREFIX`,
    /// `https://HOST/BUCKET/PREFIX` (also `http`) or `file:///FOLDER`. Keys and
    /// region stay as they are.
    pub fn at(&self, url: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{url}` names no bucket; write s3://BUCKET/PREFIX, https://HOST/BUCKET/PREFIX or \
                 file:///FOLDER"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if scheme == "file" {
            return Ok(Self {
                folder: Some(rest.into()),
                s3: None,
                ..self.clone()
            });
        }
        let (endpoint, rest) = match scheme {
            "s3" => (None, rest),
            "http" | "https" => {
                let (host, rest) = rest.split_once('/').ok_or_else(wrong)?;
                (Some(format!("{scheme}://{host}")), rest)
            }
            _ => return Err(wrong()),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong());
        }
        let s3 = self.s3.clone().unwrap_or_default();
        Ok(Self {
            folder: None,
            s3: Some(S3 {
                bucket: bucket.into(),
                prefix: prefix.trim_matches('/').into(),
                endpoint: endpoint.or(s3.endpoint),
                ..s3
            }),
            ..self.clone()
        })
    }

    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.folder.is_some() == self.s3.is_some() {
            return Err("blob needs exactly one of `folder` and `s3`".into());
        }
        if !((5 << 20)..=(64 << 20)).contains(&self.part_size) {
            return Err("blob.part_size may be 5 MiB to 64 MiB".into());
        }
        if self.upload_memory < 2 * self.part_size || self.upload_memory > 1 << 40 {
            return Err("blob.upload_memory may be twice blob.part_size to 1 TiB".into());
        }
        if self.attempt_timeout.is_zero() || self.deadline.is_zero() || self.probe_pause.is_zero() {
            return Err("the times of blob may not be zero".into());
        }
        self.s3.as_ref().map_or(Ok(()), S3::check)
    }
}

impl S3 {
    fn check(&self) -> Result<(), String> {
        if self.bucket.is_empty() {
            return Err("blob.s3.bucket names no bucket".into());
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(
                "blob.s3 needs both access_key_id and secret_access_key, or neither".into(),
            );
        }
        match self.endpoint.as_deref() {
            Some(url) if url.starts_with("https://") => Ok(()),
            Some(url) if url.starts_with("http://") => {
                if self.allow_http || is_loopback(url) {
                    Ok(())
                } else {
                    Err(format!(
                        "blob.s3.endpoint {url} is not encrypted: use https, or set allow_http"
                    ))
                }
            }
            Some(url) => Err(format!(
                "blob.s3.endpoint {url} begins with neither https:// nor http://"
            )),
            None => Ok(()),
        }
    }

    /// The client for this bucket. It makes no retries of its own: those are
    /// [`crate::Store`]'s, so that they are counted and bounded in one place.
    pub(crate) fn client(&self, settings: &Settings) -> Result<object_store::aws::AmazonS3, Error> {
        let no_retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 0,
            retry_timeout: settings.deadline,
        };
        let mut builder = AmazonS3Builder::from_env();
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
        let client = ClientOptions::new()
            // Without TLS a system that has no authorities serves as well.
            .with_no_system_certificates(plain)
            .with_timeout(settings.attempt_timeout)
            .with_connect_timeout(settings.attempt_timeout.min(Duration::from_secs(5)))
            .with_pool_idle_timeout(Duration::from_secs(60));
        builder = builder
            .with_bucket_name(&self.bucket)
            .with_client_options(client)
            .with_allow_http(true) // checked above, by host
            .with_virtual_hosted_style_request(self.virtual_host)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(no_retry);
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        } else if builder
            .get_config_value(&AmazonS3ConfigKey::Region)
            .is_none()
        {
            builder = builder.with_region("us-east-1");
        }
        if let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(&secret.0);
        }
        if let Some(token) = &self.session_token {
            builder = builder.with_token(&token.0);
        }
        builder
            .build()
            .map_err(|e| Error::Invalid(format!("the settings of blob.s3 do not work: {e}")))
    }
}

/// Whether `url` leads to this machine.
fn is_loopback(url: &str) -> bool {
    let rest = url.trim_start_matches("http://");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Whatever stands before an @ is user information, not the host.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(endpoint: &str) -> Settings {
        Settings {
            s3: Some(S3 {
                bucket: "mail".into(),
                endpoint: Some(endpoint.into()),
                ..S3::default()
            }),
            ..Settings::default()
        }
    }

    #[test]
    fn plain_http_leaves_this_machine_only_when_told_so() {
        for fine in [
            "https://s3.example.org",
            "http://127.0.0.1:8333",
            "http://localhost:8333/",
            "http://[::1]:9000",
        ] {
            assert_eq!(bucket(fine).check(), Ok(()), "{fine}");
        }
        for bad in [
            "http://s3.example.org",
            "http://127.0.0.1@s3.example.org",
            "http://localhost.example.org",
            "ftp://s3.example.org",
        ] {
            assert!(bucket(bad).check().is_err(), "{bad}");
        }
        let mut told = bucket("http://s3.example.org");
        if let Some(s3) = &mut told.s3 {
            s3.allow_http = true;
        }
        assert_eq!(told.check(), Ok(()));
    }

    #[test]
    fn a_url_names_a_place() {
        let at = |url: &str| bucket("https://s3.example.org").at(url);
        let s3 = |url: &str| at(url).unwrap().s3.unwrap();
        let told = |s3: S3| (s3.endpoint, s3.bucket, s3.prefix);
        let own = Some("https://s3.example.org".to_owned());
        assert_eq!(told(s3("s3://b/a/c/")), (own, "b".into(), "a/c".into()));
        let other = Some("http://127.0.0.1:8333".to_owned());
        let found = told(s3("http://127.0.0.1:8333/b"));
        assert_eq!(found, (other, "b".into(), String::new()));
        let folder = at("file:///var/mail").unwrap();
        assert_eq!(folder.folder, Some("/var/mail".into()));
        assert_eq!(folder.check(), Ok(()));
        for bad in [
            "mail",
            "s3://",
            "https://host",
            "https://host/",
            "ftp://host/b",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_place_is_needed_and_secrets_are_not_printed() {
        assert!(Settings::default().check().is_err());
        let mut both = bucket("https://s3.example.org");
        both.folder = Some("/tmp/x".into());
        assert!(both.check().is_err());
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}
