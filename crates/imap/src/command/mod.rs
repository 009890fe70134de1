//! The commands, one file each. Each reads its arguments, acts, writes its
//! untagged responses and returns its tagged reply. What is allowed when stands
//! in the crate's `table`.

pub(crate) mod append;
mod authenticate;
mod close;
mod copy;
mod create;
mod delete;
mod enable;
mod examine;
mod expunge;
mod fetch;
mod get_quota;
mod id;
mod list;
mod list_names;
mod login;
mod lsub;
mod rename;
mod search;
mod status;
mod store;
mod subscribe;

use futures::future::BoxFuture;
use postrider_proto::imap::response::{Code, Condition};
use postrider_proto::imap::{Command, Tagged};

use crate::capability;
use crate::error::{Fail, Reply};
use crate::idle;
use crate::session::Session;

/// Whether the command is the UID form of one that has two.
pub(crate) fn is_by_uid(command: &Command) -> bool {
    match command {
        Command::Search(search) => search.uid,
        Command::Fetch(fetch) => fetch.uid,
        Command::Store(store) => store.uid,
        Command::Copy(copy) | Command::Move(copy) => copy.uid,
        Command::Expunge(set) => set.is_some(),
        _ => false,
    }
}

/// Runs a command that the state allows. Each is boxed on its own, so that a
/// session that waits in IDLE does not pay for FETCH.
pub(crate) fn run<'a>(
    session: &'a mut Session,
    tagged: &'a Tagged,
) -> BoxFuture<'a, Result<Reply, Fail>> {
    match &tagged.command {
        Command::Capability => ready(capability(session)),
        Command::Noop => ready(Ok(Reply::ok("NOOP completed"))),
        Command::Check => ready(Ok(Reply::ok("CHECK completed"))),
        Command::Logout => ready(logout(session)),
        Command::StartTls => ready(start_tls(session)),
        Command::Namespace => ready(namespace(session)),
        Command::Enable(names) => ready(enable::run(session, names)),
        Command::Id(fields) => ready(id::run(session, fields)),
        Command::Authenticate(authenticate) => Box::pin(authenticate::run(session, authenticate)),
        Command::Login(login) => Box::pin(login::run(session, login)),
        Command::Select(select) => Box::pin(examine::run(session, select)),
        Command::Create(create) => Box::pin(create::run(session, create)),
        Command::Delete(name) => Box::pin(delete::run(session, name)),
        Command::Rename(rename) => Box::pin(rename::run(session, rename)),
        Command::Subscribe(name) => Box::pin(subscribe::run(session, name, true)),
        Command::Unsubscribe(name) => Box::pin(subscribe::run(session, name, false)),
        Command::List(list) => Box::pin(list::run(session, list)),
        Command::Lsub(lsub) => Box::pin(lsub::run(session, lsub)),
        Command::Status(status) => Box::pin(status::run(session, status)),
        Command::Idle => Box::pin(idle::run(session)),
        Command::Close => Box::pin(close::run(session)),
        Command::Unselect => Box::pin(close::unselect(session)),
        Command::Expunge(set) => Box::pin(expunge::run(session, set.as_ref())),
        Command::Search(search) => Box::pin(search::run(session, search, &tagged.tag)),
        Command::Fetch(fetch) => Box::pin(fetch::run(session, fetch)),
        Command::Store(store) => Box::pin(store::run(session, store)),
        Command::Copy(copy) => Box::pin(copy::run(session, copy, false)),
        Command::Move(copy) => Box::pin(copy::run(session, copy, true)),
        Command::GetQuota(root) => Box::pin(get_quota::by_root(session, root)),
        Command::GetQuotaRoot(name) => Box::pin(get_quota::by_mailbox(session, name)),
        Command::SetQuota(_) => ready(set_quota()),
    }
}

fn ready<'a>(result: Result<Reply, Fail>) -> BoxFuture<'a, Result<Reply, Fail>> {
    Box::pin(std::future::ready(result))
}

/// CAPABILITY (RFC 3501 §6.1.1)
fn capability(session: &mut Session) -> Result<Reply, Fail> {
    let names = capability::names(session);
    session.out.capability(&names);
    Ok(Reply::ok("CAPABILITY completed"))
}

/// LOGOUT (RFC 3501 §6.1.3): the session closes after the tagged reply.
fn logout(session: &mut Session) -> Result<Reply, Fail> {
    session.out.untagged(Condition::Bye, None, "goodbye");
    Ok(Reply::ok("LOGOUT completed"))
}

/// STARTTLS (RFC 3501 §6.2.1): the handshake follows the tagged OK.
fn start_tls(session: &mut Session) -> Result<Reply, Fail> {
    if session.out.connection.is_tls() {
        return Ok(Reply::bad("the connection is encrypted already"));
    }
    if !session.may_start_tls() {
        return Ok(Reply::bad("TLS is not offered here"));
    }
    Ok(Reply::ok("begin TLS now"))
}

/// NAMESPACE (RFC 2342)
fn namespace(session: &mut Session) -> Result<Reply, Fail> {
    session.out.namespace();
    Ok(Reply::ok("NAMESPACE completed"))
}

/// SETQUOTA (RFC 9208 §4.1.3): limits are the administrator's.
fn set_quota() -> Result<Reply, Fail> {
    Ok(Reply::no(
        Code::NoPerm,
        "quotas are set by your administrator",
    ))
}
