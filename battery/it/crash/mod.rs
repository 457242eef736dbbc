//! Processes that are killed, at named points and at random moments, by `kill -9` and by the database cutting their
//! connections. Their acknowledgement log stays with the parent, which then proves that nothing acknowledged is lost,
//! nothing is counted twice, and that the sweeper ends the rest.

mod child;
mod proof;
mod report;

use crate::{
    chance::Chance,
    length,
    support::{books::Books, database::server_url},
};
use entity::{GroupId, KeyId, MemberId, ModelId, PriceVersionId, TenantId};
use proof::Proof;
use report::Line;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Where the product may be cut off.
const POINTS: [&str; 10] = [
    "write begun",
    "write done",
    "write committed",
    "batch committed",
    "asker told",
    "event stored",
    "event claimed",
    "order placed",
    "sweep found",
    "lapse found",
];
/// What an order buys.
pub const BOUGHT: i64 = 70;
/// Kills between which the books go on; then new ones are opened.
const KILLS_OF_ONE: usize = 12;
const PATIENCE: Duration = Duration::from_secs(30);
const WISHES: &str = "BATTERY_CHILD";

type Payer = (TenantId, MemberId, KeyId);

/// What the child is told: where to work, for whom, and where to end.
#[derive(Clone, Debug)]
pub struct Orders {
    pub url: String,
    pub now: i64,
    pub seed: u64,
    pub point: Option<(String, u32)>,
    pub group: GroupId,
    pub model: ModelId,
    pub price: PriceVersionId,
    pub payers: Vec<Payer>,
}

impl Orders {
    fn text(&self) -> String {
        let payers: Vec<String> = self
            .payers
            .iter()
            .map(|(tenant, member, key)| format!("{tenant},{member},{key}"))
            .collect();
        let (point, nth) = self.point.clone().unwrap_or_default();
        [
            self.url.clone(),
            self.now.to_string(),
            self.seed.to_string(),
            point,
            nth.to_string(),
            self.group.to_string(),
            self.model.to_string(),
            self.price.to_string(),
            payers.join(";"),
        ]
        .join("|")
    }

    /// What this process was told, where it is a child.
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent tells its child by the environment"
    )]
    pub fn of_this_process() -> Option<Self> {
        let text = std::env::var(WISHES).ok()?;
        let words: Vec<&str> = text.split('|').collect();
        let [url, now, seed, point, nth, group, model, price, payers] = words.as_slice() else {
            return None;
        };
        let payer = |text: &str| -> Option<Payer> {
            let mut ids = text.split(',');
            let (tenant, member, key) = (ids.next()?, ids.next()?, ids.next()?);
            Some((
                tenant.parse().ok()?,
                member.parse().ok()?,
                key.parse().ok()?,
            ))
        };
        Some(Self {
            url: (*url).to_owned(),
            now: now.parse().ok()?,
            seed: seed.parse().ok()?,
            point: (!point.is_empty()).then(|| Some(((*point).to_owned(), nth.parse().ok()?)))?,
            group: group.parse().ok()?,
            model: model.parse().ok()?,
            price: price.parse().ok()?,
            payers: payers.split(';').map(payer).collect::<Option<_>>()?,
        })
    }

    pub fn some_payer(&self, chance: &mut Chance) -> Payer {
        self.payers[chance.below(self.payers.len())]
    }
}

/// How a child comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    At(&'static str),
    KilledAtRandom,
    /// Its connections are cut time and again, then it is killed.
    CutOff,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_acknowledged_is_there_and_nothing_is_there_twice_on_sqlite() {
    // The slice kills on SQLite when it is asked for SQLite.
    if server_url().is_none() || length::until().is_some() {
        kill_on(None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_acknowledged_is_there_and_nothing_is_there_twice_on_postgresql() {
    if let Some(server) = server_url() {
        kill_on(Some(&server)).await;
    }
}

async fn kill_on(server: Option<&str>) {
    let (began, until) = (Instant::now(), length::until());
    let mut chance = Chance::of(length::seed());
    let mut met: BTreeMap<End, usize> = BTreeMap::new();
    let (mut kills, mut lines) = (0, 0);
    loop {
        let mut scene = Scene::open(server).await;
        for _ in 0..KILLS_OF_ONE {
            let end = choose(kills, server.is_some(), &mut chance);
            let reached = scene.kill(end, &mut chance).await;
            *met.entry(end).or_default() += usize::from(reached);
            kills += 1;
        }
        lines += scene.proof.lines();
        scene.finish().await;
        match until {
            Some(until) if Instant::now() < until => {}
            None if kills < 2 * KILLS_OF_ONE => {}
            _ => break,
        }
    }
    let place = server.map_or("SQLite", |_| "PostgreSQL");
    println!(
        "battery: {kills} kills on {place}, {lines} lines acknowledged, {:?}",
        began.elapsed()
    );
    for (end, times) in &met {
        println!("  {times:>9}  {end:?}");
    }
    let never: Vec<_> = POINTS
        .iter()
        .filter(|point| !met.contains_key(&End::At(point)))
        .collect();
    assert!(never.is_empty(), "never reached: {never:?}");
    assert!(
        met.values().all(|times| *times > 0),
        "never reached: {met:?}"
    );
}

/// Every point once, then whatever chance says.
fn choose(kills: usize, cuts: bool, chance: &mut Chance) -> End {
    if let Some(point) = POINTS.get(kills) {
        return End::At(point);
    }
    match chance.below(4) {
        0 => End::At(chance.one(&POINTS).expect("there are some")),
        1 if cuts => End::CutOff,
        _ => End::KilledAtRandom,
    }
}

/// Books that one child after the other works on.
struct Scene {
    books: Books,
    orders: Orders,
    proof: Proof,
}

impl Scene {
    async fn open(server: Option<&str>) -> Self {
        let books = Books::open_on(server).await;
        let mut payers = Vec::new();
        let mut first = BTreeMap::new();
        let mut order = None;
        for _ in 0..3 {
            let payer = books.payer().await;
            books.grant(&payer, 2_000).await;
            first.insert(payer.tenant, 2_000);
            order = Some(books.order(&payer, 1));
            payers.push((payer.tenant, payer.member, payer.key));
        }
        let order = order.expect("an order");
        let orders = Orders {
            url: books.database.url.clone(),
            now: books.now().micros(),
            seed: 0,
            point: None,
            group: order.group,
            model: order.model,
            price: order.price_version,
            payers,
        };
        Self {
            books,
            orders,
            proof: Proof::of(first),
        }
    }

    /// Starts a child, ends it, and proves the books. Answers whether it ended where it was to.
    async fn kill(&mut self, end: End, chance: &mut Chance) -> bool {
        self.orders.seed = chance.between(1, 1_000_000).unsigned_abs();
        self.orders.point = match end {
            End::At(point) => {
                let often = matches!(
                    point,
                    "write begun"
                        | "write done"
                        | "write committed"
                        | "batch committed"
                        | "asker told"
                );
                let most = if often { 60 } else { 4 };
                let nth = u32::try_from(chance.between(1, most)).expect("small");
                Some((point.to_owned(), nth))
            }
            End::KilledAtRandom | End::CutOff => None,
        };
        let since = self.moment().await;
        let (child, lines) = self.start();
        let reached = match end {
            End::At(_) => self.wait(child).await,
            End::KilledAtRandom => {
                tokio::time::sleep(Duration::from_millis(5 + chance.below(495) as u64)).await;
                kill(child).await
            }
            End::CutOff => {
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_millis(20 + chance.below(200) as u64)).await;
                    self.cut(&since).await;
                }
                tokio::time::sleep(Duration::from_millis(chance.below(300) as u64)).await;
                kill(child).await
            }
        };
        for line in lines.await.expect("the log is read") {
            self.proof.hear(line);
        }
        self.proof.check(&self.books).await;
        reached
    }

    /// A child at work, and its log, which is whole when it has ended.
    fn start(&self) -> (Child, tokio::task::JoinHandle<Vec<Line>>) {
        let mut child = Command::new(std::env::current_exe().expect("this test's program"))
            .args([
                "crash::child::works_until_it_is_killed",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(WISHES, self.orders.text())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a child");
        let mut out = BufReader::new(child.stdout.take().expect("its output")).lines();
        let lines = tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Ok(Some(line)) = out.next_line().await {
                heard.extend(Line::read(&line));
            }
            heard
        });
        (child, lines)
    }

    /// Waits until it has ended itself.
    async fn wait(&self, mut child: Child) -> bool {
        if let Ok(ended) = tokio::time::timeout(PATIENCE, child.wait()).await {
            return !ended.expect("it ended").success();
        }
        kill(child).await;
        false
    }

    /// The server's time, by which a child's connections are told from ours.
    async fn moment(&self) -> String {
        if self.books.db.backend() != DbBackend::Postgres {
            return String::new();
        }
        let asked = Statement::from_string(DbBackend::Postgres, "SELECT now()::text AS moment");
        let row = self
            .books
            .db
            .read()
            .query_one_raw(asked)
            .await
            .expect("it answers");
        row.expect("a row").try_get("", "moment").expect("a text")
    }

    /// Ends the connections that a child has opened since.
    async fn cut(&self, since: &str) {
        let cut = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_start > '{since}'"
        );
        self.books
            .db
            .read()
            .execute_unprepared(&cut)
            .await
            .expect("it answers");
    }

    async fn finish(self) {
        self.books.close().await;
    }
}

/// `kill -9`.
async fn kill(mut child: Child) -> bool {
    child.kill().await.expect("it is killed");
    true
}
