//! A payment provider that answers as Stripe's checkout does: sessions, idempotency keys, signed events. What it was
//! sent is kept, so that a test can pin it.

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use billing::payment::stripe::{Settings, Stripe};
use entity::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The secret under which its events are signed.
pub const SECRET: &str = "whsec_of_the_test";

/// A running provider. Stops when dropped.
pub struct FakeStripe {
    base: String,
    state: Arc<Mutex<State>>,
    handle: ServerHandle,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<String, Value>,
    keys: BTreeMap<String, (String, String)>,
    requests: Vec<Request>,
    faults: Vec<Fault>,
    events: u32,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /v1/checkout/sessions` and the like.
    pub line: String,
    /// The idempotency key.
    pub key: Option<String>,
    /// The form's fields, decoded.
    pub form: Vec<(String, String)>,
}

/// How the next answer goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing is done and this status is the answer.
    Status(u16),
    /// What was asked is done, and the answer is garbage.
    Garbage,
}

impl FakeStripe {
    /// Starts on a free port.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = web::Data::from(state.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/v1/checkout/sessions", web::post().to(create))
                .route("/v1/checkout/sessions/{id}", web::get().to(retrieve))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a port is free");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            base: format!("http://{address}"),
            state,
            handle,
        }
    }

    /// Its address, for `STRIPE_API_BASE`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Our adapter, pointed at it.
    pub fn provider(&self) -> Stripe {
        let settings = Settings {
            secret_key: "sk_test_of_the_test".to_owned(),
            api_base: Some(self.base().to_owned()),
            timeout: Duration::from_secs(10),
        };
        Stripe::new(&settings).expect("the settings are good")
    }

    /// The buyer paid, or (with `unpaid`) did all that was asked for a payment that takes days.
    pub fn complete(&self, session: &str, payment_status: &str) {
        self.set(session, "status", json!("complete"));
        self.set(session, "payment_status", json!(payment_status));
        self.set(session, "payment_intent", json!(format!("pi_{session}")));
        self.set(session, "url", Value::Null);
    }

    /// Nobody paid in time.
    pub fn expire(&self, session: &str) {
        self.set(session, "status", json!("expired"));
        self.set(session, "url", Value::Null);
    }

    /// Changes one field of a session.
    pub fn set(&self, session: &str, field: &str, value: Value) {
        let mut state = self.lock();
        let session = state.sessions.get_mut(session).expect("the session exists");
        session[field] = value;
    }

    /// Makes the next answers go wrong, one after the other.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// How many sessions were opened.
    pub fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// What it was sent.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// An event about a session, as the bytes of a webhook.
    pub fn event(&self, kind: &str, session: &str) -> Vec<u8> {
        let mut state = self.lock();
        state.events += 1;
        let object = state
            .sessions
            .get(session)
            .cloned()
            .unwrap_or_else(|| json!({ "id": session }));
        let event = json!({
            "id": format!("evt_{}", state.events),
            "object": "event",
            "api_version": "2026-09-30.endive",
            "type": kind,
            "livemode": false,
            "data": { "object": object },
        });
        event.to_string().into_bytes()
    }

    /// Waits until it has stopped.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panicked in here")
    }
}

/// The `Stripe-Signature` header of a body signed at a moment.
pub fn sign(raw: &[u8], secret: &str, at: Timestamp) -> String {
    let seconds = at.micros() / 1_000_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key has any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(raw);
    format!(
        "t={seconds},v1={}",
        hex::encode(mac.finalize().into_bytes())
    )
}

async fn create(
    request: HttpRequest,
    body: web::Bytes,
    state: web::Data<Mutex<State>>,
) -> HttpResponse {
    let mut state = state.lock().expect("no test panicked in here");
    let fault = note(&mut state, &request, &body);
    if let Some(Fault::Status(status)) = fault {
        return refuse(status);
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    let key = header(&request, "idempotency-key").unwrap_or_default();
    let id = match state.keys.get(&key) {
        Some((form, _)) if *form != text => return refuse(400),
        Some((_, id)) => id.clone(),
        None => {
            let id = format!("cs_test_{}", state.sessions.len() + 1);
            let session = session(&id, &fields(&body));
            state.sessions.insert(id.clone(), session);
            state.keys.insert(key, (text, id.clone()));
            id
        }
    };
    if fault.is_some() {
        return HttpResponse::Ok().body("<html>");
    }
    HttpResponse::Ok().json(&state.sessions[&id])
}

async fn retrieve(
    request: HttpRequest,
    id: web::Path<String>,
    state: web::Data<Mutex<State>>,
) -> HttpResponse {
    let mut state = state.lock().expect("no test panicked in here");
    match note(&mut state, &request, b"") {
        Some(Fault::Status(status)) => refuse(status),
        Some(Fault::Garbage) => HttpResponse::Ok().body("<html>"),
        None => match state.sessions.get(id.as_str()) {
            Some(session) => HttpResponse::Ok().json(session),
            None => refuse(404),
        },
    }
}

fn note(state: &mut State, request: &HttpRequest, body: &[u8]) -> Option<Fault> {
    state.requests.push(Request {
        line: format!("{} {}", request.method(), request.path()),
        key: header(request, "idempotency-key"),
        form: fields(body),
    });
    (!state.faults.is_empty()).then(|| state.faults.remove(0))
}

fn header(request: &HttpRequest, name: &str) -> Option<String> {
    let value = request.headers().get(name)?;
    Some(value.to_str().expect("headers are text").to_owned())
}

fn fields(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn refuse(status: u16) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("a status");
    HttpResponse::build(status)
        .json(json!({ "error": { "type": "api_error", "message": "as the test wants" } }))
}

fn session(id: &str, form: &[(String, String)]) -> Value {
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let amount: i64 = field("line_items[0][price_data][unit_amount]")
        .and_then(|text| text.parse().ok())
        .expect("the form has an amount");
    json!({
        "id": id,
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "cancel_url": field("cancel_url"),
        "client_reference_id": field("client_reference_id"),
        "created": 1_795_000_000,
        "currency": field("line_items[0][price_data][currency]"),
        "custom_fields": [],
        "custom_text": { "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null },
        "expires_at": 1_795_086_400,
        "livemode": false,
        "metadata": {},
        "mode": field("mode"),
        "payment_intent": null,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "shipping_options": [],
        "status": "open",
        "success_url": field("success_url"),
        "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
        "url": format!("https://checkout.stripe.test/{id}"),
    })
}
