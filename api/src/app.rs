//! One installation, put together and taken down. `serve`, `demo` and the tests all start it here.

use crate::{
    config::{Config, SmtpTls},
    jobs::{Jobs, Work},
    keyring::{Keyring, KeyringFault},
    server::{self, Flight, Health, Webhook, visit},
};
use actix_web::{App as Site, HttpServer, dev::ServerHandle, middleware::from_fn, web};
use billing::{
    lane::{LaneSettings, Lanes},
    payment::{
        PaymentProvider,
        signature::WebhookSecrets,
        stripe::{self, Stripe},
    },
    shop::group::ensure_default,
};
use console::{
    Console, FormSecret,
    mail::{MailFault, Post, Server, Tls},
    probe,
};
use entity::{Clock, Database};
use gateway::Gateway;
use identity::password::Hasher;
use outbound::Outbound;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long a connection may be silent between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections may take to take what was already sent, once no request is under way.
const FLUSH_SECONDS: u64 = 3;

/// What an installation is given besides its configuration.
#[derive(Clone, Debug)]
pub struct Ports {
    /// What time it is.
    pub clock: Clock,
    /// Who starts the jobs.
    pub schedule: Schedule,
}

/// Who starts the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// They start themselves, each at its time.
    Timed,
    /// They run when [`Jobs::run_all`] is called: for a clock that stands still.
    OnDemand,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            schedule: Schedule::Timed,
        }
    }
}

/// Why an installation did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("the data directory {0} cannot be made: {1}")]
    DataDir(String, io::Error),
    /// There is no such file.
    #[error(
        "there is no database at {0}; name its folder with --data-dir or TOLLGATE_DATA_DIR, or DATABASE_URL"
    )]
    NoDatabase(String),
    /// The database does not answer, or is newer than this program.
    #[error("the database cannot be used: {0}")]
    Store(#[from] sea_orm::DbErr),
    /// The address is taken, or not of this machine.
    #[error("{0} cannot be listened on: {1}")]
    Listen(SocketAddr, io::Error),
    /// The egress proxy or TLS set-up is unusable.
    #[error(transparent)]
    Outbound(#[from] outbound::SettingsError),
    /// A channel did not answer as it should.
    #[error(transparent)]
    Channel(#[from] probe::TryError),
    /// A configured secret is unusable.
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
    /// The mail settings are unusable.
    #[error(transparent)]
    Mail(#[from] MailFault),
    /// The payment provider's settings are unusable.
    #[error(transparent)]
    Payments(#[from] stripe::SettingsFault),
}

/// An installation that answers.
#[must_use = "dropping it leaves the server without anybody to stop it"]
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// How people and clients are told to reach it, without a trailing slash.
    pub public_url: String,
    /// Its rows.
    pub db: Database,
    /// What time it is there.
    pub clock: Clock,
    /// How calls hold and settle there.
    pub lanes: Lanes,
    /// Its jobs.
    pub jobs: Jobs,
    /// Its secrets.
    pub keyring: Keyring,
    /// Whether it may be sent work.
    pub health: Health,
    flight: Flight,
    gateway: Gateway,
    server: ServerHandle,
    jobs_end: CancellationToken,
    drain: Duration,
}

/// Opens the database of `config`, migrated to the present.
///
/// # Errors
/// When the data directory cannot be made or the database cannot be used.
pub async fn open(config: &Config) -> Result<Database, StartError> {
    let url = config.database.url.expose();
    if let Some(file) = url.strip_prefix("sqlite://") {
        let folder = Path::new(file).parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .map_err(|fault| StartError::DataDir(folder.display().to_string(), fault))?;
    }
    migration::up(url).await?;
    let mut settings = entity::Settings::new(url);
    settings.write_connections = config.database.connections;
    Ok(Database::open(&settings).await?)
}

/// As [`open`], where it is of no use to make a database: proving a new one proves nothing.
///
/// # Errors
/// As [`open`], and when there is no database yet.
pub async fn open_present(config: &Config) -> Result<Database, StartError> {
    let url = config.database.url.expose();
    match url.strip_prefix("sqlite://") {
        Some(file) if !Path::new(file).exists() => Err(StartError::NoDatabase(file.to_owned())),
        _ => open(config).await,
    }
}

/// Makes one small real call over a channel, as this configuration would.
///
/// # Errors
/// When there is no such channel, or its upstream does not answer as it should.
pub async fn try_channel(config: &Config, name: &str) -> Result<String, StartError> {
    let db = open_present(config).await?;
    let keyring = Keyring::of(config)?;
    let told = probe::try_channel(&db, &way_out(config)?, &keyring.master, name).await;
    db.close().await?;
    Ok(told?)
}

fn way_out(config: &Config) -> Result<Outbound, StartError> {
    Ok(Outbound::new(&outbound::Settings {
        allowed_cidrs: config.allowed_cidrs.clone(),
        allowed_ports: config.allowed_ports.clone(),
        proxy: config.proxy.clone(),
        ..outbound::Settings::default()
    })?)
}

/// Starts an installation: database, jobs, server.
///
/// # Errors
/// When one of them cannot be; then nothing is left running.
pub async fn start(config: &Config, ports: Ports) -> Result<Running, StartError> {
    let listener = TcpListener::bind(config.listen)
        .map_err(|fault| StartError::Listen(config.listen, fault))?;
    let address = listener
        .local_addr()
        .map_err(|fault| StartError::Listen(config.listen, fault))?;
    let db = open(config).await?;
    let clock = ports.clock;
    let payments = payments(config)?;
    let lanes = Lanes::start(&db, clock.clone(), LaneSettings::of(&db));
    let health = Health::default();
    let flight = Flight::default();
    let keyring = Keyring::of(config)?;
    let outbound = way_out(config)?;
    let console = Console::new(console::Parts {
        db: db.clone(),
        clock: clock.clone(),
        hasher: Hasher::new(),
        keys: Arc::new(keyring.keys.clone()),
        code_keys: keyring.codes.clone(),
        master: keyring.master.clone(),
        outbound: outbound.clone(),
        payments: payments.clone(),
        post: post(config)?,
        config: console_config(config, address),
    });
    let jobs = Jobs::new(Work {
        db: db.clone(),
        clock: clock.clone(),
        lanes: lanes.clone(),
        payments: payments.clone(),
        console: console.clone(),
    });
    ensure_default(&db, clock.now()).await?;
    let public_url = console.config.base_url().to_owned();
    let gateway = Gateway::new(
        db.clone(),
        clock.clone(),
        lanes.clone(),
        outbound,
        keyring.keys.clone(),
        gateway::Config::new(&public_url, keyring.master.clone()),
    );
    let parts = Parts {
        console,
        gateway: gateway.clone(),
        webhook: webhook(config, &db, &clock, payments),
        health: health.clone(),
        flight: flight.clone(),
        db: db.clone(),
    };
    let server = serve(config, listener, address, parts)?;
    let jobs_end = CancellationToken::new();
    if ports.schedule == Schedule::Timed {
        jobs.schedule(&jobs_end);
    }
    health.set_ready(true);
    Ok(Running {
        address,
        public_url,
        db,
        clock,
        lanes,
        jobs,
        keyring,
        health,
        flight,
        gateway,
        server,
        jobs_end,
        drain: config.drain,
    })
}

/// What the routes are given; a clone is a few pointers.
#[derive(Clone)]
struct Parts {
    console: Console,
    gateway: Gateway,
    webhook: Option<Webhook>,
    health: Health,
    flight: Flight,
    db: Database,
}

fn serve(
    config: &Config,
    listener: TcpListener,
    address: SocketAddr,
    parts: Parts,
) -> Result<ServerHandle, StartError> {
    let server = HttpServer::new(move || {
        let parts = parts.clone();
        Site::new()
            .app_data(web::Data::new(parts.health))
            .app_data(web::Data::new(parts.flight))
            .app_data(web::Data::new(parts.db))
            .app_data(web::Data::new(parts.gateway))
            // Paths are tried in this order, and calls are what there is most of.
            .configure(gateway::routes::configure)
            .configure(|app| server::routes::configure(app, parts.webhook))
            .configure(|app| console::routes::mount(app, parts.console))
            .wrap(from_fn(visit))
    })
    .workers(config.workers)
    .tcp_nodelay(true)
    // A client that closes its end has hung up; a call that waits for its turn gives it up then.
    .h1_allow_half_closed(false)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(FLUSH_SECONDS)
    .disable_signals()
    .listen(listener)
    .map_err(|fault| StartError::Listen(address, fault))?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}

fn payments(config: &Config) -> Result<Option<Arc<dyn PaymentProvider>>, StartError> {
    let Some(settings) = &config.stripe else {
        return Ok(None);
    };
    let provider = Stripe::new(&stripe::Settings {
        secret_key: settings.secret_key.expose().to_owned(),
        api_base: settings.api_base.as_ref().map(ToString::to_string),
        timeout: stripe::TIMEOUT,
    })?;
    Ok(Some(Arc::new(provider)))
}

fn webhook(
    config: &Config,
    db: &Database,
    clock: &Clock,
    payments: Option<Arc<dyn PaymentProvider>>,
) -> Option<Webhook> {
    let secrets = &config.stripe.as_ref()?.webhook_secrets;
    Some(Webhook {
        db: db.clone(),
        clock: clock.clone(),
        provider: payments?,
        secrets: WebhookSecrets::new(secrets.iter().map(|secret| secret.expose().to_owned())),
    })
}

/// By the mail server, or into `mail` under the data directory where there is none.
fn post(config: &Config) -> Result<Post, StartError> {
    let mail = &config.mail;
    let Some(smtp) = &mail.smtp else {
        return Ok(Post::folder(&mail.from, &config.data_dir.join("mail"))?);
    };
    let server = Server {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: match smtp.tls {
            SmtpTls::Tls => Tls::Implicit,
            SmtpTls::StartTls => Tls::StartTls,
            SmtpTls::None => Tls::None,
        },
        account: smtp
            .account
            .as_ref()
            .map(|(name, password)| (name.clone(), password.expose().to_owned())),
    };
    Ok(Post::smtp(&mail.from, server)?)
}

fn console_config(config: &Config, address: SocketAddr) -> console::Config {
    console::Config {
        public_url: config.public_url(address),
        site_name: config.site_name.clone(),
        form_secret: FormSecret::new(*config.keys.session.expose()),
        trusted_proxies: config.trusted_proxies.clone(),
        sign_up_open: config.sign_up_open,
    }
}

impl Running {
    /// Ends the installation as SIGTERM does: not ready at once, running answers go on until the drain limit, calls are
    /// settled, connections closed.
    ///
    /// # Errors
    /// When the database does not close cleanly.
    pub async fn stop(self) -> Result<(), sea_orm::DbErr> {
        self.stop_or(std::future::pending()).await
    }

    /// As [`Running::stop`], but waits for running answers no longer than until `hurry` is over.
    ///
    /// # Errors
    /// As [`Running::stop`].
    pub async fn stop_or(self, hurry: impl Future<Output = ()>) -> Result<(), sea_orm::DbErr> {
        self.wind_down(true, hurry).await
    }

    /// As [`Running::stop`], but does not wait for clients to close their connections.
    ///
    /// # Errors
    /// As [`Running::stop`].
    pub async fn halt(self) -> Result<(), sea_orm::DbErr> {
        self.wind_down(false, std::future::pending()).await
    }

    async fn wind_down(
        self,
        politely: bool,
        hurry: impl Future<Output = ()>,
    ) -> Result<(), sea_orm::DbErr> {
        self.health.set_ready(false);
        self.gateway.close();
        self.jobs_end.cancel();
        let landed = async {
            self.flight.landed().await;
            self.gateway.landed().await;
        };
        let why = tokio::select! {
            () = landed => None,
            () = tokio::time::sleep(self.drain) => Some("the drain limit"),
            () = hurry => Some("a second request to end"),
        };
        if let Some(why) = why {
            tracing::warn!(requests = self.flight.len(), "{why} ended running answers");
        }
        // Every call has its settlement to bring before the lanes stop.
        self.gateway.stop();
        self.gateway.landed().await;
        self.server.stop(politely).await;
        self.lanes.drain().await;
        self.db.close().await
    }
}
