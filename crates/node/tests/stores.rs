//! A node's two stores: that they belong together, and to nobody else.

// Clippy spares `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use postrider_node::{Node, Settings, quickstart_settings, seed};
use tempfile::TempDir;

/// Settings of a node in `dir`, on free ports.
fn settings(dir: &TempDir) -> Settings {
    quickstart_settings(&dir.path().join("data"), None).unwrap()
}

/// A folder in which a node ran.
async fn used() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let node = Node::start(settings(&dir)).await.unwrap();
    assert!(seed(node.meta(), &dir.path().join("data")).await.unwrap());
    node.shutdown().await.unwrap();
    dir
}

async fn refused(settings: Settings) -> String {
    match Node::start(settings).await {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    }
}

async fn starts(settings: Settings) {
    Node::start(settings)
        .await
        .unwrap()
        .shutdown()
        .await
        .unwrap();
}

fn store_id(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("data/bodies/store/id")
}

#[tokio::test]
async fn empty_metadata_does_not_take_a_store_that_has_an_owner() {
    let dir = used().await;
    let id = std::fs::read(store_id(&dir)).unwrap();
    for moved in ["meta", "another"] {
        let mut settings = settings(&dir);
        if moved == "meta" {
            // As if the volume was not mounted.
            let (meta, away) = (dir.path().join("data/meta"), dir.path().join("away"));
            std::fs::rename(meta, away).unwrap();
        } else {
            settings.meta.dir = "mistyped".into();
        }
        let text = refused(settings).await;
        assert!(
            text.contains("belongs to another Postrider store") && text.contains("mounted"),
            "{text}"
        );
        assert_eq!(std::fs::read(store_id(&dir)).unwrap(), id);
    }
    let meta = dir.path().join("data/meta");
    std::fs::remove_dir_all(&meta).unwrap();
    std::fs::rename(dir.path().join("away"), meta).unwrap();
    starts(settings(&dir)).await;
}

#[tokio::test]
async fn metadata_takes_no_store_but_its_own() {
    let dir = used().await;
    let other = used().await;
    let id = std::fs::read(store_id(&dir)).unwrap();

    let mut foreign = settings(&dir);
    foreign.blob.folder = Some(other.path().join("data/bodies"));
    let text = refused(foreign).await;
    assert!(text.contains("another Postrider store"), "{text}");

    let mut empty = settings(&dir);
    empty.blob.folder = Some(dir.path().join("mistyped"));
    let text = refused(empty).await;
    let id_text = String::from_utf8(id).unwrap();
    assert!(
        text.contains("store/id") && text.contains(&id_text) && text.contains("mounted"),
        "{text}"
    );
    starts(settings(&dir)).await;
}

#[tokio::test]
async fn a_store_that_is_away_does_not_keep_the_node_from_starting() {
    let dir = used().await;
    let id = store_id(&dir);
    let folder = id.parent().unwrap();
    let away = dir.path().join("away");
    std::fs::rename(folder, &away).unwrap();
    std::fs::write(folder, "in the way").unwrap();
    let node = Node::start(settings(&dir)).await.unwrap();
    // It comes back, but is another's.
    std::fs::remove_file(folder).unwrap();
    std::fs::create_dir(folder).unwrap();
    std::fs::write(&id, "f".repeat(32)).unwrap();
    let text = node.failed().await;
    assert!(text.contains("another Postrider store"), "{text}");
    node.shutdown().await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    std::fs::rename(&away, folder).unwrap();
    starts(settings(&dir)).await;
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // The object was made, but its id did not come into the metadata.
    let id = "0123456789abcdef0123456789abcdef";
    write(&data.join("store.claim"), &format!("{id}\n"));
    write(&store_id(&dir), id);
    starts(settings(&dir)).await;
    assert!(!data.join("store.claim").exists());
    starts(settings(&dir)).await;
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    refused(settings(&dir)).await;
}

fn write(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

#[tokio::test]
async fn nobody_else_may_enter_the_folders_with_mail() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    // As a container's volume: it is there already, and open to all.
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    let mut settings = settings(&dir);
    let elsewhere = dir.path().join("elsewhere/bodies");
    settings.blob.folder = Some(elsewhere.clone());
    starts(settings).await;
    for folder in [data.join("meta"), elsewhere] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let public = path.ends_with("cert.pem") || path.ends_with("admin.url");
        assert!(public || mode(&path) & 0o077 == 0, "{}", path.display());
    }
}
