//! The network between simulated nodes: byte streams with latency, loss (which
//! TCP turns into delay), cuts in one or both directions, and hosts that die
//! with or without their peers being told.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postrider_rpc::{Connector, Transport};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Bytes in flight in one direction of a connection.
const WINDOW: usize = 64 << 10;

/// How a host stands to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Up,
    /// Gone, and its peers are told: the process died, the machine lives.
    Reset,
    /// Gone without a word: the machine died.
    Silent,
}

/// How the network behaves.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) latency: Range<Duration>,
    /// The share of pieces that have to be sent again.
    pub(crate) loss: f64,
}

/// The network. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when a cut is made or healed.
    changed: watch::Sender<()>,
}

struct State {
    dice: StdRng,
    weather: Weather,
    hosts: BTreeMap<String, Host>,
    /// From, to: what is sent that way waits.
    cuts: BTreeSet<(String, String)>,
    /// Pieces carried, for the trace.
    carried: u64,
}

struct Host {
    incoming: mpsc::UnboundedSender<io::Result<DuplexStream>>,
    life: watch::Sender<Life>,
}

/// An end of a connection: its host, that host's side of it, and the life of the
/// host, if it can die.
type End<'h> = (&'h str, DuplexStream, Option<watch::Receiver<Life>>);

/// What a host accepts from.
pub(crate) type Incoming = mpsc::UnboundedReceiver<io::Result<DuplexStream>>;

impl Hub {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let state = State {
            dice: StdRng::seed_from_u64(seed),
            weather,
            hosts: BTreeMap::new(),
            cuts: BTreeSet::new(),
            carried: 0,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: watch::channel(()).0,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.shared.state.lock().unwrap())
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state(|state| state.weather = weather);
    }

    pub(crate) fn carried(&self) -> u64 {
        self.state(|state| state.carried)
    }

    /// The host at `address` is up from now on: what it accepts from, and what it
    /// reaches others through.
    pub(crate) fn up(&self, address: &str) -> (Incoming, Connector) {
        let (incoming, accept) = mpsc::unbounded_channel();
        let (life, own) = watch::channel(Life::Up);
        let host = Host { incoming, life };
        let before = self.state(|state| state.hosts.insert(address.to_owned(), host));
        if let Some(before) = before {
            // What is left of connections to its former life is answered with a reset.
            before.life.send_replace(Life::Reset);
        }
        (accept, self.connector(address, Some(own)))
    }

    /// The host at `address` is gone from now on.
    pub(crate) fn down(&self, address: &str, how: Life) {
        self.state(|state| state.hosts[address].life.send_replace(how));
    }

    /// Cuts one direction, or heals it.
    pub(crate) fn cut(&self, from: &str, to: &str, cut: bool) {
        let link = (from.to_owned(), to.to_owned());
        self.state(|state| match cut {
            true => state.cuts.insert(link),
            false => state.cuts.remove(&link),
        });
        self.shared.changed.send_replace(());
    }

    pub(crate) fn heal(&self) {
        self.state(|state| state.cuts.clear());
        self.shared.changed.send_replace(());
    }

    /// What a client that never dies reaches nodes through.
    pub(crate) fn client(&self, name: &str) -> Connector {
        self.connector(name, None)
    }

    fn connector(&self, from: &str, own: Option<watch::Receiver<Life>>) -> Connector {
        let (hub, from) = (self.clone(), from.to_owned());
        Connector::new(move |to| {
            let (hub, from, to, own) = (hub.clone(), from.clone(), to.to_owned(), own.clone());
            Box::pin(async move {
                let stream = hub.connect(from, to, own).await?;
                Ok(Box::new(stream) as Box<dyn Transport>)
            })
        })
    }

    async fn connect(
        &self,
        from: String,
        to: String,
        own: Option<watch::Receiver<Life>>,
    ) -> io::Result<DuplexStream> {
        self.travel(&from, &to).await;
        self.travel(&to, &from).await;
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let host = self.state(|state| {
            let host = state.hosts.get(&to)?;
            Some((host.incoming.clone(), host.life.subscribe()))
        });
        let (incoming, life) = host.ok_or_else(refused)?;
        let states = [Some(&life), own.as_ref()];
        let states = states.map(|life| life.map_or(Life::Up, |life| *life.borrow()));
        if states.contains(&Life::Silent) {
            // The caller has a time limit.
            std::future::pending::<()>().await;
        }
        if states.contains(&Life::Reset) {
            return Err(refused());
        }
        let (near, near_end) = duplex(WINDOW);
        let (far, far_end) = duplex(WINDOW);
        incoming.send(Ok(far)).map_err(|_| refused())?;
        let hub = self.clone();
        tokio::spawn(async move {
            let (near, far) = ((&*from, near_end, own), (&*to, far_end, Some(life)));
            hub.carry(near, far).await;
        });
        Ok(near)
    }

    /// Carries a connection until it or its hosts end.
    async fn carry(&self, near: End<'_>, far: End<'_>) {
        let ((from, near, own), (to, far, life)) = (near, far);
        let (mut near, mut far) = (split(near), split(far));
        let forth = self.pipe(from, to, &mut near.0, &mut far.1);
        let back = self.pipe(to, from, &mut far.0, &mut near.1);
        let dead = |life: Life| life != Life::Up;
        tokio::select! {
            biased;
            () = until(own.clone(), dead) => {}
            () = until(life.clone(), dead) => {}
            _ = async { tokio::join!(forth, back) } => return,
        }
        // The end of a dead host goes with it. The peer of a silent death holds
        // its own until the dead one is back, or it dies too.
        let (own_again, life_again) = (own.clone(), life.clone());
        let near = async {
            until(own, dead).await;
            drop(near);
        };
        let far = async {
            until(life, dead).await;
            drop(far);
        };
        let reset = |life: Life| life == Life::Reset;
        tokio::select! {
            biased;
            () = until(own_again, reset) => {}
            () = until(life_again, reset) => {}
            _ = async { tokio::join!(near, far) } => {}
        }
    }

    /// Carries one direction.
    async fn pipe(
        &self,
        from: &str,
        to: &str,
        read: &mut ReadHalf<DuplexStream>,
        write: &mut WriteHalf<DuplexStream>,
    ) {
        let mut piece = vec![0; 16 << 10];
        loop {
            let length = read.read(&mut piece).await.unwrap_or(0);
            self.travel(from, to).await;
            if length == 0 {
                let _ = write.shutdown().await;
                return;
            }
            if write.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    }

    /// Takes the time of one way, and waits while it is cut.
    async fn travel(&self, from: &str, to: &str) {
        let time = self.state(|state| {
            state.carried += 1;
            let Weather { latency, loss } = state.weather.clone();
            let mut time = state.dice.random_range(latency);
            let mut again = Duration::from_millis(200);
            while state.dice.random_bool(loss) && again < Duration::from_secs(2) {
                time += again;
                again *= 2;
            }
            time
        });
        sleep(time).await;
        let link = (from.to_owned(), to.to_owned());
        let mut changed = self.shared.changed.subscribe();
        while self.state(|state| state.cuts.contains(&link)) {
            let _ = changed.changed().await;
        }
    }
}

/// Waits until a host is as asked; for ever where it never dies.
async fn until(life: Option<watch::Receiver<Life>>, asked: fn(Life) -> bool) {
    match life {
        // An error: the host is up again, in another life.
        Some(mut life) => drop(life.wait_for(|life| asked(*life)).await),
        None => std::future::pending().await,
    }
}
