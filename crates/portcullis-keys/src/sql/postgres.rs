//! PostgreSQL: one store for several gateways.
//!
//! A change is told to all that listen (`NOTIFY`) when it is committed. Every call has a deadline: a server that does not
//! answer is one that is not there.

use super::tls::Tls;
use super::{Driver, EachRow, Purpose, Row, Value};
use crate::fault::{ErrorKind, StoreError};
use std::error::Error as _;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Client, Config};
use zeroize::Zeroizing;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(4);
/// How long a statement may take.
const ANSWER: Duration = Duration::from_secs(4);
/// How long the next rows of an answer may take.
const ROWS: Duration = Duration::from_secs(10);
/// The channel of notices.
const CHANNEL: &str = "portcullis_keys";

/// Where a server is.
#[derive(Clone)]
pub struct PostgresSettings {
    /// A URL, or the words of `libpq`; may hold a password.
    pub url: Zeroizing<String>,
    /// A file in PEM with the only authorities that may vouch for the server. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// Whether another machine may be spoken to in the clear.
    pub plaintext: bool,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// By TLS, and the server proves who it is.
    Tls,
    /// In the clear, on this machine.
    Local,
    /// In the clear, over a network.
    Plaintext,
}

impl PostgresSettings {
    /// What the URL says, made safe.
    fn config(&self) -> Result<(Config, Protection), StoreError> {
        // What others write for "verify the server", which is what is always done here.
        let mut url = Zeroizing::new(self.url.to_string());
        for word in ["verify-full", "verify-ca"] {
            url = Zeroizing::new(url.replace(&format!("sslmode={word}"), "sslmode=require"));
        }
        // SECURITY: the error may quote the URL, so it is not told (the_url_of_a_store_is_not_shown).
        let mut config: Config = url.parse().map_err(|_| {
            StoreError::unusable(
                "the URL of PostgreSQL cannot be read: write postgres://USER:PASSWORD@HOST/DATABASE",
            )
        })?;
        if config.get_hosts().is_empty() {
            return Err(StoreError::unusable("the URL of PostgreSQL names no host"));
        }
        // SECURITY: an address beside the name is where the connection goes (a_local_name_with_another_address_is_not_local).
        let local = config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(|address| address.to_canonical().is_loopback());
        let wants_tls = config.get_ssl_mode() == SslMode::Require;
        let protection = match (local, self.plaintext) {
            (true, _) if !wants_tls => Protection::Local,
            (false, true) if !wants_tls => Protection::Plaintext,
            (true | false, _) => Protection::Tls,
        };
        // SECURITY: `prefer`, which is the default of the protocol, lets whoever is on the way choose
        // (a_local_name_with_another_address_is_not_local).
        config.ssl_mode(if protection == Protection::Tls { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT).application_name("portcullis");
        config.keepalives(true).keepalives_idle(Duration::from_secs(10));
        Ok((config, protection))
    }

    /// How the server is spoken to.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn protection(&self) -> Result<Protection, StoreError> {
        self.config().map(|(_, protection)| protection)
    }

    /// Where the server is, without user and password.
    pub fn place(&self) -> String {
        let Ok((config, _)) = self.config() else { return "PostgreSQL".to_owned() };
        let hosts: Vec<String> = config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        format!("PostgreSQL, {} at {}", config.get_dbname().unwrap_or("default database"), hosts.join(", "))
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.to_canonical().is_loopback())
        }
    }
}

pub(crate) struct Postgres {
    runtime: Runtime,
    client: Client,
    place: String,
    told: Arc<Notify>,
}

impl Postgres {
    pub(crate) fn open(settings: &PostgresSettings) -> Result<Postgres, StoreError> {
        let (config, protection) = settings.config()?;
        let place = settings.place();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::failed(format!("no event queue: {error}")))?;
        let told = Arc::new(Notify::new());
        let noticed = Arc::clone(&told);
        let connect = async {
            let tls = Tls::new(protection, settings.ca.as_deref())?;
            let (client, mut connection) =
                config.connect(tls).await.map_err(|error| explain(&place, &error))?;
            tokio::spawn(async move {
                let mut next = pin!(std::future::poll_fn(|cx| connection.poll_message(cx)));
                while let Some(Ok(message)) = next.as_mut().await {
                    if matches!(message, AsyncMessage::Notification(_)) {
                        noticed.notify_one();
                    }
                }
                // Whoever waits for a notice finds that the connection is gone.
                noticed.notify_one();
            });
            Ok(client)
        };
        let client = runtime
            .block_on(async { tokio::time::timeout(CONNECT * 2, connect).await })
            .unwrap_or_else(|_| Err(late(&place)))?;
        let mut postgres = Postgres { runtime, client, place, told };
        postgres.script(&format!(
            "SET synchronous_commit = on; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '20s'; LISTEN {CHANNEL};"
        ))?;
        Ok(postgres)
    }

    fn within<T>(
        &self,
        time: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let done = self.runtime.block_on(async { tokio::time::timeout(time, work).await });
        match done {
            Ok(result) => result.map_err(|error| explain(&self.place, &error)),
            Err(_) => Err(late(&self.place)),
        }
    }
}

fn late(place: &str) -> StoreError {
    StoreError::new(ErrorKind::Unreachable, format!("{place} does not answer in time"))
}

/// What an error is to an operator.
fn explain(place: &str, error: &tokio_postgres::Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        let mut text = format!("{place}: {error}");
        let mut cause = error.source();
        while let Some(next) = cause {
            text.push_str(&format!(": {next}"));
            cause = next.source();
        }
        return StoreError::new(ErrorKind::Unreachable, text);
    };
    let code = told.code();
    let message = told.message();
    let class = code.code().get(..2).unwrap_or_default();
    let kind = match class {
        // Authorization, privileges, names that are not there.
        "28" | "3D" | "42" => ErrorKind::Unusable,
        "23" => return StoreError::conflict("this is in the store already"),
        // Connections, resources, the operator, locks.
        "08" | "53" | "55" | "57" | "40" => ErrorKind::Unreachable,
        _ => ErrorKind::Failed,
    };
    // A server that starts or ends says so in a class of its own.
    let kind = if *code == SqlState::READ_ONLY_SQL_TRANSACTION { ErrorKind::Unreachable } else { kind };
    StoreError::new(kind, format!("{place}: {message}"))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        match *kind {
            Type::INT8 => i64::from_sql(kind, raw).map(Value::Integer),
            Type::INT4 => i32::from_sql(kind, raw).map(|number| Value::Integer(i64::from(number))),
            Type::TEXT => String::from_sql(kind, raw).map(Value::Text),
            Type::BYTEA => Vec::<u8>::from_sql(kind, raw).map(Value::Bytes),
            _ => Err("a type that the store does not use".into()),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Value::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::TEXT | Type::BYTEA)
    }
}

impl Driver for Postgres {
    fn begin(&mut self, purpose: Purpose) -> Result<(), StoreError> {
        self.script(match purpose {
            Purpose::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Purpose::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        })
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.script("COMMIT")
    }

    fn roll_back(&mut self) {
        let _ = self.script("ROLLBACK");
    }

    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.within(ANSWER, self.client.execute(sql, &values))
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        use futures_core::Stream as _;
        let mut rows = Box::pin(self.within(ANSWER, self.client.query_raw(sql, values))?);
        loop {
            let next = std::future::poll_fn(|cx| rows.as_mut().poll_next(cx));
            let Some(row) = self.within(ROWS, async { next.await.transpose() })? else { return Ok(()) };
            let values: Result<Vec<Value>, _> = (0..row.len()).map(|column| row.try_get(column)).collect();
            each(Row(values.map_err(|_| Row::wrong())?.into_iter()))?;
        }
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.within(ANSWER, self.client.batch_execute(sql))
    }

    fn notify(&mut self) -> Result<(), StoreError> {
        self.script(&format!("NOTIFY {CHANNEL}"))
    }

    fn wait(&mut self, most: Duration) -> Result<bool, StoreError> {
        // One that came before is kept.
        let told = Arc::clone(&self.told);
        let waited = self.runtime.block_on(async move { tokio::time::timeout(most, told.notified()).await });
        if self.client.is_closed() {
            return Err(StoreError::new(
                ErrorKind::Unreachable,
                format!("{}: the connection is gone", self.place),
            ));
        }
        Ok(waited.is_ok())
    }

    fn name(&self) -> String {
        self.place.clone()
    }
}
