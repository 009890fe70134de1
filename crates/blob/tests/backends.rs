//! The same calls against a local folder and against an S3 server in process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use postrider_blob::{Error, S3, Secret, Settings, Store};
use postrider_types::{Clock, SystemClock};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An S3 server over `dir` on a free port; its endpoint.
async fn serve(dir: &std::path::Path) -> String {
    std::fs::create_dir(dir.join("mail")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir).unwrap());
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    endpoint
}

fn bucket(endpoint: String, secret: &str) -> Settings {
    Settings {
        s3: Some(S3 {
            bucket: "mail".into(),
            prefix: "cluster-1".into(),
            endpoint: Some(endpoint),
            region: Some("us-east-1".into()),
            access_key_id: Some("key".into()),
            secret_access_key: Some(Secret::new(secret)),
            ..S3::default()
        }),
        part_size: 5 << 20,
        deadline: Duration::from_millis(20_000),
        ..Settings::default()
    }
}

async fn keys(store: &Arc<Store>, folder: &str) -> Vec<String> {
    let mut keys: Vec<String> = store
        .list(folder)
        .map_ok(|found| found.key)
        .try_collect()
        .await
        .unwrap();
    keys.sort();
    keys
}

/// What any backend must do.
async fn check(store: Arc<Store>) {
    store.probe().await.unwrap();
    let small = Bytes::from_static(b"Subject: hello\r\n\r\n");
    store
        .put("pack/01/a", vec![small.clone(), small.clone()])
        .await
        .unwrap();
    assert_eq!(
        store.get("pack/01/a", 0..36).await.unwrap(),
        [small.clone(), small.clone()].concat()
    );
    assert_eq!(store.get_once("pack/01/a", 9..14).await.unwrap(), "hello");
    assert_eq!(store.size("pack/01/a").await.unwrap(), 36);
    store
        .put("pack/01/a", vec![small.clone(), small.clone()])
        .await
        .unwrap();

    let large: Bytes = (0..11 << 20)
        .map(|i: u32| (i / 251) as u8)
        .collect::<Vec<u8>>()
        .into();
    let mut upload = store.upload("body/02/b").unwrap();
    for start in (0..large.len()).step_by(65_536) {
        upload
            .write(large.slice(start..(start + 65_536).min(large.len())))
            .await
            .unwrap();
        if start == 7 << 20 {
            assert!(
                keys(&store, "body").await.is_empty(),
                "nothing is seen before the end"
            );
        }
    }
    assert_eq!(upload.finish().await.unwrap(), large.len() as u64);
    let range = 5_000_000..6_000_000;
    let read = store
        .get("body/02/b", range.start as u64..range.end as u64)
        .await
        .unwrap();
    assert!(read == large.slice(range));
    assert!(store.get("body/02/b", 0..large.len() as u64).await.unwrap() == large);

    assert_eq!(keys(&store, "body").await, ["body/02/b"]);
    assert_eq!(keys(&store, "pack").await, ["pack/01/a"]);
    let end = large.len() as u64;
    assert!(matches!(
        store.get("body/02/b", end..end + 1).await,
        Err(Error::Short(_))
    ));
    let far = store
        .get_once("body/02/b", end + 600_000..end + 600_001)
        .await;
    assert!(matches!(far, Err(Error::Short(_))), "{far:?}");
    assert!(matches!(
        store.get("body/02/none", 0..1).await,
        Err(Error::NotFound(_))
    ));
    assert!(matches!(
        store.size("body/02/none").await,
        Err(Error::NotFound(_))
    ));
    store.delete("body/02/b").await.unwrap();
    store.delete("body/02/b").await.unwrap();
    assert!(keys(&store, "body").await.is_empty());
    assert!(store.available());
}

#[tokio::test]
async fn a_folder_keeps_objects() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: Some(dir.path().join("new")),
        part_size: 5 << 20,
        ..Settings::default()
    };
    let store = Store::open(&settings).unwrap();
    check(store.clone()).await;
    store
        .create("pack/03/c", vec![Bytes::from_static(b"1")])
        .await
        .unwrap();
    let again = store
        .create("pack/03/c", vec![Bytes::from_static(b"2")])
        .await;
    assert!(matches!(again, Err(Error::Exists(_))));
    drop(store);
    let store = Store::open(&settings).unwrap();
    assert_eq!(store.get("pack/03/c", 0..1).await.unwrap(), "1");
}

#[tokio::test]
async fn a_half_written_file_is_not_seen_and_removed_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: Some(dir.path().into()),
        ..Settings::default()
    };
    let store = Store::open(&settings).unwrap();
    store
        .put("pack/01/a", vec![Bytes::from_static(b"1")])
        .await
        .unwrap();
    let remnant = dir.path().join("pack/01/b#1");
    std::fs::write(&remnant, b"half").unwrap();
    assert_eq!(keys(&store, "pack").await, ["pack/01/a"]);
    let now = SystemClock.now();
    let hour = std::time::Duration::from_secs(3600);
    assert_eq!(store.remove_remnants(now.before(hour)).await.unwrap(), 0);
    assert!(remnant.exists());
    assert_eq!(store.remove_remnants(now.after(hour)).await.unwrap(), 1);
    assert!(!remnant.exists());
    assert_eq!(store.get("pack/01/a", 0..1).await.unwrap(), "1");
}

#[tokio::test]
async fn a_bucket_keeps_objects() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = serve(dir.path()).await;
    let store = Store::open(&bucket(endpoint.clone(), "secret")).unwrap();
    check(store).await;
    assert!(
        dir.path().join("mail/cluster-1/pack/01/a").exists(),
        "keys carry the prefix"
    );

    let hasty = Settings {
        deadline: Duration::from_millis(100),
        ..bucket(endpoint, "wrong")
    };
    let store = Store::open(&hasty).unwrap();
    let refused = store.probe().await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(!store.available());
}

/// A server that gives every request this answer; its endpoint.
async fn answer(status: &'static str, body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 8192];
            let _ = socket.read(&mut request).await;
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}");
            let _ = socket
                .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
                .await;
        }
    });
    endpoint
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_an_outage_and_no_loss() {
    let body = "<Error><Code>NoSuchBucket</Code></Error>";
    let endpoint = answer("404 Not Found", body).await;
    let store = Store::open(&Settings {
        deadline: Duration::from_millis(50),
        ..bucket(endpoint, "secret")
    })
    .unwrap();
    let put = store.put("pack/01/a", vec![Bytes::from_static(b"1")]).await;
    assert!(matches!(put, Err(Error::Unavailable(_))), "{put:?}");
    let get = store.get("pack/01/a", 0..1).await;
    assert!(matches!(get, Err(Error::Unavailable(_))), "{get:?}");
}

#[tokio::test]
async fn a_range_that_the_server_refuses_is_no_outage() {
    let body = "<Error><Code>InvalidRange</Code></Error>";
    let endpoint = answer("416 Range Not Satisfiable", body).await;
    let store = Store::open(&bucket(endpoint, "secret")).unwrap();
    let get = store.get("pack/01/a", 0..1).await;
    assert!(matches!(get, Err(Error::Short(_))), "{get:?}");
    assert!(store.available());
}

/// This server looks whether a key is there before it writes: two that come at once
/// both get through. In sequence it does all right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_looks_before_it_writes_is_not_believed() {
    let dir = tempfile::TempDir::new().unwrap();
    let endpoint = serve(dir.path()).await;
    let store = Store::open(&bucket(endpoint, "secret")).unwrap();
    let checked = store.check_registers(Duration::from_secs(10)).await;
    assert!(matches!(checked, Err(Error::Invalid(_))), "{checked:?}");
}
