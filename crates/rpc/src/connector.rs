//! The way to another node: TCP, and TLS over it. Simulations carry the bytes
//! themselves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

/// A connection of any kind.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Connects to addresses (HOST:PORT).
#[derive(Clone)]
pub struct Connector(Arc<dyn Fn(&str) -> Connecting + Send + Sync>);

impl Connector {
    /// A connector that asks `connect`.
    pub fn new(connect: impl Fn(&str) -> Connecting + Send + Sync + 'static) -> Self {
        Self(Arc::new(connect))
    }

    /// Over TCP: where a host has several addresses, whichever answers first.
    pub(crate) fn tcp(patience: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(patience));
        // Small messages that wait for each other: Nagle's algorithm delays them.
        tcp.set_nodelay(true);
        Self::new(move |to| {
            let mut tcp = tcp.clone();
            let to = format!("http://{to}").parse::<Uri>();
            Box::pin(async move {
                let to = to.map_err(io::Error::other)?;
                std::future::poll_fn(|context| tcp.poll_ready(context))
                    .await
                    .map_err(io::Error::other)?;
                let stream = tcp.call(to).await.map_err(io::Error::other)?;
                Ok(Box::new(stream.into_inner()) as Box<dyn Transport>)
            })
        })
    }

    /// TLS over these connections, to whoever has a certificate with `name`.
    pub(crate) fn secured(self, config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        let tls = TlsConnector::from(config);
        Self::new(move |to| {
            let (tls, name, connecting) = (tls.clone(), name.clone(), (self.0)(to));
            Box::pin(async move {
                let stream = tls.connect(name, connecting.await?).await?;
                Ok(Box::new(stream) as Box<dyn Transport>)
            })
        })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Transport>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let address = target.authority().map_or("", |it| it.as_str());
        let connecting = (self.0)(address);
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}
