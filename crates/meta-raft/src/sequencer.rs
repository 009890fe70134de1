//! Turns waiting commands into batches: evaluates them on the leader over the
//! state as applied, replicates what they write, and releases each verdict once
//! its batch is applied. One batch at a time.
//!
//! A batch names the term and the state that it was evaluated over; a replica
//! that meets it in any other drops it. So a verdict that was released is true.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use postrider_kv::Buffered;
use postrider_meta::{Command, Context, Error, Executed, Outcome, Refusal, Token};
use postrider_types::{AccountId, Clock, CommandId, Millis, SteadyClock, Versions};

use crate::batch::Batch;
use crate::engine::View;
use crate::leader::Core;
use crate::queue::{Receiver, Waiting};

type Verdict = Result<Outcome, Refusal>;

/// Bounds of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Commands.
    pub(crate) commands: usize,
    /// Bytes, of what the commands bring and of what they write. The last command
    /// may pass it.
    pub(crate) bytes: usize,
}

/// Takes commands until the queue is closed and empty.
pub(crate) async fn run(
    core: Arc<Core>,
    mut queue: Receiver,
    clock: Arc<dyn Clock>,
    limits: Limits,
) {
    let mut sequencer = Sequencer {
        core,
        steady: SteadyClock::new(Arc::clone(&clock)),
        clock,
        bytes: limits.bytes,
        ready: None,
    };
    // Taken out of the queue, but not yet executed.
    let mut held = VecDeque::new();
    loop {
        let first = match held.pop_front() {
            Some(first) => first,
            None => match queue.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < limits.commands && bytes < limits.bytes {
            let Some(next) = held.pop_front().or_else(|| queue.try_recv()) else {
                break;
            };
            if bytes + next.bytes > 2 * limits.bytes {
                held.push_front(next);
                break;
            }
            bytes += next.bytes;
            group.push(next);
        }
        // Nobody waits for these any more; they come again under the same id.
        group.retain(|waiting| !waiting.reply.is_closed());
        if !group.is_empty() {
            let mut rest = sequencer.group(group).await;
            rest.append(&mut held);
            held = rest;
        }
    }
}

struct Sequencer {
    core: Arc<Core>,
    clock: Arc<dyn Clock>,
    /// The same, which does not jump.
    steady: SteadyClock,
    /// A batch is full once its commands have written this much.
    bytes: usize,
    /// The term in which everything before has been applied here.
    ready: Option<u64>,
}

/// What evaluating a group came to.
struct Evaluated {
    /// Of the commands up to the one that filled the batch.
    verdicts: Vec<Result<Verdict, Error>>,
    /// The commands after that one: nothing was done about them.
    rest: Vec<(CommandId, Command)>,
    batch: Option<Batch>,
    /// The state that it was evaluated over, then the one that it made.
    token: Token,
}

impl Sequencer {
    /// Executes a group, or as much of it as fills a batch, and answers
    /// everybody in that. Gives back the others.
    async fn group(&mut self, group: Vec<Waiting>) -> VecDeque<Waiting> {
        let began = Instant::now();
        metrics::histogram!("postrider_meta_batch_commands").record(group.len() as f64);
        let (commands, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|waiting| {
                let Waiting {
                    id,
                    command,
                    bytes,
                    reply,
                    room,
                } = waiting;
                ((id, command), (bytes, reply, room))
            })
            .unzip();
        let mut replies = replies.into_iter();
        let outcome = self.execute(commands).await;
        metrics::histogram!("postrider_meta_commit_seconds").record(began.elapsed().as_secs_f64());
        match outcome {
            Ok(executed) => {
                let token = executed.token;
                for (verdict, (_, reply, _)) in executed.verdicts.into_iter().zip(&mut replies) {
                    // Who asked may have gone.
                    let _ = reply.send(verdict.map(|verdict| Executed { verdict, token }));
                }
                let rest = executed.rest.into_iter().zip(replies);
                rest.map(|((id, command), (bytes, reply, room))| Waiting {
                    id,
                    command,
                    bytes,
                    reply,
                    room,
                })
                .collect()
            }
            Err(error) => {
                self.ready = None;
                for (_, reply, _) in replies {
                    let _ = reply.send(Err(error.clone()));
                }
                VecDeque::new()
            }
        }
    }

    async fn execute(&mut self, commands: Vec<(CommandId, Command)>) -> Result<Evaluated, Error> {
        let term = self.lead().await?;
        let (core, bytes) = (Arc::clone(&self.core), self.bytes);
        let now = self.clock.now();
        let moment = (now, self.steady.latest().max(now));
        // Reads the disk: not on a thread of the runtime.
        let mut evaluated = crate::blocking::run(move || {
            let view = core.shared.engine.view();
            let versions = core.versions;
            futures::executor::block_on(evaluate(view, versions, term, moment, commands, bytes))
        })
        .await
        .map_err(|error| crate::blocking::broken_off("evaluation", &error))??;
        let Some(batch) = evaluated.batch.take() else {
            // Nothing to replicate. Still the leader, so the state was the latest.
            self.barrier(term).await?;
            return Ok(evaluated);
        };
        metrics::histogram!("postrider_meta_batch_bytes").record(batch.bytes().len() as f64);
        let written = tokio::select! {
            written = self.core.raft.client_write(batch) => written,
            // It may yet be committed. Whoever asked comes again under the same
            // id, and a batch that follows here is over the state without it.
            () = self.core.cut_off() => {
                let text = "no majority of the voters answers";
                return Err(Error::Unavailable(text.into()));
            }
        };
        let written = written.map_err(|error| Error::Unavailable(error.to_string()))?;
        if !written.data.accepted {
            let text = "the leader changed while the command was executed";
            return Err(Error::Unavailable(text.into()));
        }
        evaluated.token = Token(written.log_id.index);
        Ok(evaluated)
    }

    /// The term in which this node leads, once everything of earlier terms is
    /// applied here.
    async fn lead(&mut self) -> Result<u64, Error> {
        self.core.wait_for_leader().await;
        let leader = self.core.raft.as_leader();
        let leader = leader.map_err(|error| Error::Unavailable(error.to_string()))?;
        let term = leader.leader_id().term;
        if self.ready != Some(term) {
            self.barrier(term).await?;
            self.ready = Some(term);
        }
        Ok(term)
    }

    /// Confirms that this node leads in `term` and has applied what was
    /// committed before.
    async fn barrier(&self, term: u64) -> Result<(), Error> {
        match self.core.barrier().await? {
            now if now == term => Ok(()),
            _ => Err(Error::Unavailable("the leader changed".into())),
        }
    }
}

/// Evaluates commands one after the other in one transaction over `view`, until
/// they have written `bytes`: a small command may write much.
async fn evaluate(
    view: View,
    versions: Versions,
    term: u64,
    (now, latest): (Millis, Millis),
    commands: Vec<(CommandId, Command)>,
    bytes: usize,
) -> Result<Evaluated, Error> {
    let failed = |error: postrider_kv::Error| Error::Failed(error.to_string());
    let progress = view.place().map_err(failed)?;
    let version = postrider_meta::version(&view).await.map_err(failed)?;
    if let Some(objection) = versions.objection("the leader's program", version) {
        // It ends soon, and another node leads.
        return Err(Error::Unavailable(objection));
    }
    let mut transaction = Buffered::new(view);
    let mut verdicts = Vec::with_capacity(commands.len());
    let mut accounts = BTreeSet::new();
    let mut commands = commands.into_iter();
    for (id, command) in commands.by_ref() {
        let context = Context {
            now,
            latest,
            id,
            version,
        };
        // An error is the store's: nothing of this batch can be trusted.
        let evaluated = postrider_meta::evaluate(&mut transaction, &context, command)
            .await
            .map_err(failed)?;
        if let Err(error) = &evaluated.verdict {
            tracing::error!(%error, command = %id, "a command cannot be evaluated");
        }
        accounts.extend(evaluated.accounts);
        verdicts.push(evaluated.verdict);
        if transaction.written() >= bytes {
            break;
        }
    }
    let accounts: Vec<AccountId> = accounts.into_iter().collect();
    let ops = transaction.into_ops().await.map_err(failed)?;
    let batch = Batch::encode(term, progress.batch, now, &accounts, &ops);
    Ok(Evaluated {
        verdicts,
        rest: commands.collect(),
        batch: (!ops.is_empty()).then_some(batch),
        token: Token(progress.applied),
    })
}
