//! The command line of `tollgate`.

use anyhow::Context;
use api::{
    app::{self, Ports, Running},
    config::{self, Config, Overrides},
    demo, memory, prices, telemetry,
};
use clap::{Args, Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The till, the turnstile and the back office of an LLM service.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where settings and files are.
#[derive(Debug, Args)]
struct Place {
    /// A TOML file with settings; the environment wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the embedded database, generated secrets and undelivered mail are kept.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the installation.
    Serve,
    /// Run a working installation with sandbox models, a member with credits, a key and a code, in a fresh data folder.
    Demo {
        /// Call every endpoint, print what it cost, prove the books, and stop.
        #[arg(long)]
        check: bool,
    },
    /// Prove the laws of the ledger; fails when one is broken.
    Audit,
    /// People who run the installation.
    #[command(subcommand)]
    Operator(Operators),
    /// Upstream accounts.
    #[command(subcommand)]
    Channel(Channels),
    /// Ask the running installation whether it is ready.
    Healthcheck,
    /// Bring the database to the present schema, and stop.
    Migrate,
    /// Prices of models.
    #[command(subcommand)]
    Prices(Prices),
    /// Show or check the settings.
    #[command(subcommand)]
    Config(Settings),
}

#[derive(Debug, Subcommand)]
enum Operators {
    /// Make one; the password is read from the standard input.
    Create {
        /// Their mail address.
        email: String,
        /// What pages call them.
        #[arg(long, default_value = "Operator")]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Channels {
    /// Make one small real call over a channel; fails when it does.
    Test {
        /// What operators call it.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Prices {
    /// Take prices over from a table: the product's own form, or that of the community.
    /// Without a vendor or a model, those models are priced that are here already. A price set by hand stays.
    Import {
        /// The table; the one that comes with the product where none is given.
        file: Option<PathBuf>,
        /// Take every model of this vendor.
        #[arg(long, value_name = "VENDOR")]
        vendor: Vec<String>,
        /// Take this model.
        #[arg(long, value_name = "NAME")]
        model: Vec<String>,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Settings {
    /// Print every setting with its default, as in .env.example.
    Example,
    /// Read the settings, print them without secrets, and say what is wrong.
    Check,
}

fn main() -> ExitCode {
    memory::use_small_pages();
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing installed another provider before");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system grants threads");
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("tollgate: {}", whole_story(&fault));
            ExitCode::FAILURE
        }
    }
}

/// A fault with its causes; what a fault already says of its cause is not said again.
fn whole_story(fault: &anyhow::Error) -> String {
    fault.chain().fold(String::new(), |mut story, cause| {
        let said = cause.to_string();
        if !story.contains(&said) {
            if !story.is_empty() {
                story.push_str(": ");
            }
            story.push_str(&said);
        }
        story
    })
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let overrides = Overrides {
        config: cli.place.config,
        data_dir: cli.place.data_dir,
        listen: cli.place.listen,
    };
    match cli.command {
        Command::Config(Settings::Example) => print!("{}", config::example()),
        Command::Config(Settings::Check) => println!("{:#?}", Config::load(&overrides)?),
        Command::Serve => serve(&load_logging(&overrides, "info")?).await?,
        Command::Demo { check } => return run_demo(load(&overrides)?, check).await,
        Command::Audit => return prove(&load(&overrides)?).await,
        Command::Operator(Operators::Create { email, name }) => {
            create_operator(&load(&overrides)?, &email, &name).await?;
        }
        Command::Channel(Channels::Test { name }) => {
            println!("{}", app::try_channel(&load(&overrides)?, &name).await?);
        }
        Command::Healthcheck => return healthcheck(&load(&overrides)?).await,
        Command::Prices(Prices::Import {
            file,
            vendor,
            model,
            dry_run,
        }) => {
            let wish = prices::Wish {
                file,
                vendors: vendor,
                models: model,
                dry_run,
            };
            let db = app::open_present(&load(&overrides)?).await?;
            let report = prices::import(&db, &wish, entity::Clock::system().now()).await;
            db.close().await?;
            print!("{}", report?);
        }
        Command::Migrate => {
            let db = app::open(&load(&overrides)?).await?;
            db.close().await?;
            println!("the database has the present schema");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// For a command that prints what it has to say: the log speaks up only when something is amiss.
fn load(overrides: &Overrides) -> anyhow::Result<Config> {
    load_logging(overrides, "warn")
}

fn load_logging(overrides: &Overrides, usual: &str) -> anyhow::Result<Config> {
    let config = Config::load(overrides)?;
    telemetry::start(&config.log, usual);
    Ok(config)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    // From the first moment on: whoever starts a program may end it before it has said that it runs.
    let mut asked = Asked::listen().context("signals cannot be heard")?;
    let running = tokio::select! {
        running = app::start(config, Ports::default()) => running?,
        () = asked.heard() => return Ok(()),
    };
    let link = identity::setup::open_link(&running.db, running.clock.now()).await?;
    if let Some(secret) = link {
        println!(
            "Nobody runs this installation yet. Open {}/console/setup/{} to become its operator.",
            running.public_url,
            secret.expose()
        );
    }
    until(asked, running).await
}

async fn until(mut asked: Asked, running: Running) -> anyhow::Result<()> {
    tracing::info!("listening on {} as {}", running.address, running.public_url);
    asked.heard().await;
    tracing::info!("ending: no new work, running answers go on");
    // Whoever asks again does not want to wait.
    running.stop_or(asked.heard()).await?;
    tracing::info!("ended");
    Ok(())
}

/// Hears that the process is asked to end.
struct Asked {
    terminate: Signal,
    interrupt: Signal,
}

impl Asked {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn run_demo(mut config: Config, check: bool) -> anyhow::Result<ExitCode> {
    if check {
        // A free port, so that a check does not meet whatever else runs here.
        config.listen.set_port(0);
    }
    let running = app::start(&config, Ports::default()).await?;
    let stage = match demo::furnish(&running.db, &running.keyring, running.clock.now()).await {
        Ok(stage) => stage,
        Err(fault) => {
            running.halt().await?;
            return Err(fault.into());
        }
    };
    if check {
        let checked = demo::check(&running, &stage).await;
        running.halt().await?;
        let checked = checked?;
        print!("{}", checked.report);
        return Ok(if checked.right {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let asked = Asked::listen().context("signals cannot be heard")?;
    print!("{}", demo::welcome(&running.public_url, &stage));
    until(asked, running).await?;
    Ok(ExitCode::SUCCESS)
}

async fn prove(config: &Config) -> anyhow::Result<ExitCode> {
    let db = app::open_present(config).await?;
    let report = billing::audit::prove(&db, entity::Clock::system().now()).await?;
    db.close().await?;
    let mut broken = false;
    for proof in &report.proofs {
        match &proof.breach {
            None => println!(
                "{:<4} holds   {:>9} rows  {}",
                proof.law, proof.rows, proof.says
            ),
            Some(breach) => {
                broken = true;
                println!(
                    "{:<4} BROKEN  {:>9} rows  {}: {breach}",
                    proof.law, proof.rows, proof.says
                );
            }
        }
    }
    Ok(if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn create_operator(config: &Config, email: &str, name: &str) -> anyhow::Result<()> {
    use identity::{
        email::EmailAddress,
        operator::{self, CreateOperator},
        password::{Hasher, Password},
        person::{DisplayName, Locale},
    };

    let mut typed = String::new();
    std::io::stdin()
        .read_line(&mut typed)
        .context("the password is read from the standard input")?;
    let order = CreateOperator {
        email: EmailAddress::parse(email).context("the mail address")?,
        password: Password::parse(typed.trim_end_matches(['\r', '\n'])).context("the password")?,
        display_name: DisplayName::parse(name).context("the name")?,
        locale: Locale::from_tag("en"),
    };
    let db = app::open(config).await?;
    let made = operator::create(&db, &Hasher::new(), order, entity::Clock::system().now()).await;
    db.close().await?;
    made?;
    println!("{email} runs this installation now");
    Ok(())
}

async fn healthcheck(config: &Config) -> anyhow::Result<ExitCode> {
    let client = outbound::Outbound::new(&outbound::Settings {
        allowed_cidrs: ["127.0.0.0/8".parse()?, "::1/128".parse()?].to_vec(),
        ..outbound::Settings::default()
    })?;
    let host = if config.listen.is_ipv6() {
        "[::1]"
    } else {
        "127.0.0.1"
    };
    let answer = client
        .send(outbound::Call {
            method: outbound::Method::GET,
            url: outbound::Url::parse(&format!("http://{host}:{}/readyz", config.listen.port()))?,
            headers: outbound::HeaderMap::new(),
            body: bytes::Bytes::new(),
            header_timeout: Some(std::time::Duration::from_secs(4)),
            proxy: None,
        })
        .await?;
    Ok(if answer.status().is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
