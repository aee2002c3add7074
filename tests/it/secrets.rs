//! Secrets of others: encrypted at rest, bound to their rows, rotated without a moment in which one is
//! lost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use muster::{
    app::{
        App,
        access::keys::LocalAdmin,
        secrets::{KeySource, NoKeys, Rotated},
    },
    domain::{
        ids::WorkspaceId,
        refusal::Code,
        secret::{MasterKey, MasterKeys, Purpose},
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;

use crate::support::{database::until_blocked, dump::dump, service::Service};

const SECRET: &str = "sk-live-9f3c1e7a55d2";

/// A key file in memory.
#[derive(Debug, Clone, Default)]
struct Keys(Arc<Mutex<String>>);

impl Keys {
    fn of(text: impl Into<String>) -> Self {
        let keys = Self::default();
        keys.write(text);
        keys
    }

    fn write(&self, text: impl Into<String>) {
        *self.0.lock().unwrap() = text.into();
    }
}

impl KeySource for Keys {
    fn keys(&self) -> Result<MasterKeys, NoKeys> {
        let text = self.0.lock().unwrap().clone();
        MasterKeys::parse(&text).map_err(|error| NoKeys(error.to_string()))
    }
}

/// The line of a key file.
fn line(seed: u8) -> String {
    let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 ^ seed);
    MasterKey::new(bytes).unwrap().line().expose_secret().to_owned()
}

struct Safe {
    service: Service,
    app: App,
    keys: Keys,
}

impl Safe {
    async fn open() -> Self {
        let (service, keys) = (Service::start().await, Keys::of(line(1)));
        let app = service.app.clone().with_master_keys(Arc::new(keys.clone()));
        Self { service, app, keys }
    }

    fn pool(&self) -> &PgPool {
        self.app.pool()
    }

    async fn admin(&self) -> LocalAdmin<'_> {
        self.app.local_admin(Some(self.service.workspace)).await.unwrap()
    }

    async fn set(&self, purpose: Purpose, name: &str, value: &str) {
        let value = SecretString::from(value);
        self.admin().await.set_secret(purpose, name, &value).await.unwrap();
    }

    async fn open_in(&self, workspace: WorkspaceId, name: &str) -> Result<Option<String>, String> {
        let opened = self.app.open_secret(workspace, Purpose::PlannerKey, name).await;
        let shown = |value: SecretString| value.expose_secret().to_owned();
        match opened {
            Ok(value) => Ok(value.map(shown)),
            Err(error) => {
                assert_eq!(error.code(), Code::WrongState, "{error}");
                assert!(!error.to_string().contains(SECRET));
                Err(error.to_string())
            }
        }
    }

    async fn read(&self, name: &str) -> Result<Option<String>, String> {
        self.open_in(self.service.workspace, name).await
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn a_secret_is_stored_so_that_nothing_shows_it() {
    let safe = Safe::open().await;
    safe.set(Purpose::PlannerKey, "main", "an older value").await;
    safe.set(Purpose::PlannerKey, "main", SECRET).await;
    assert_eq!(safe.read("main").await, Ok(Some(SECRET.to_owned())));
    assert_eq!(safe.read("other").await, Ok(None));

    let listed = safe.admin().await.list_secrets().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(!format!("{listed:?}").contains(SECRET));
    for rows in dump(safe.pool()).await.into_values().flatten() {
        assert!(!rows.contains(SECRET), "{rows}");
        assert!(!rows.contains(&data_encoding::HEXLOWER.encode(SECRET.as_bytes())), "{rows}");
    }
    safe.app.seal_journal(safe.service.workspace).await.unwrap();
    for path in ["/v1/audit", "/v1/events", "/v1/audit/export"] {
        let shown = safe.service.admin.get(path).await.expect(200);
        let shown = String::from_utf8_lossy(&shown.body).into_owned();
        assert!(!shown.contains(SECRET), "{path}");
        let told = shown.contains("secret.set");
        assert_eq!(told, path != "/v1/events", "{path}");
    }

    safe.admin().await.delete_secret(Purpose::PlannerKey, "main").await.unwrap();
    assert_eq!(safe.read("main").await, Ok(None));
    let again = safe.admin().await.delete_secret(Purpose::PlannerKey, "main").await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_changed_or_exchanged_row_does_not_open() {
    let safe = Safe::open().await;
    let other = safe.app.add_workspace("other").await.unwrap().workspace();
    let names = ["tag", "nonce", "wrapped", "left", "right", "renamed"];
    for name in names {
        safe.set(Purpose::PlannerKey, name, SECRET).await;
    }
    safe.set(Purpose::WebhookSecret, "webhook", SECRET).await;
    let theirs = safe.app.local_admin(Some(other)).await.unwrap();
    theirs.set_secret(Purpose::PlannerKey, "left", &SecretString::from("theirs")).await.unwrap();

    safe.sql(
        "update secrets set sealed = set_byte(sealed, length(sealed) - 1,
             get_byte(sealed, length(sealed) - 1) # 1) where name = 'tag'",
    )
    .await;
    safe.sql("update secrets set sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 128) where name = 'nonce'")
        .await;
    safe.sql(
        "update secrets set wrapped_key = set_byte(wrapped_key, 30, get_byte(wrapped_key, 30) # 2)
         where name = 'wrapped'",
    )
    .await;
    // The whole envelope of another row, of the same workspace and of another.
    safe.sql(
        "update secrets s set wrapped_key = o.wrapped_key, sealed = o.sealed from secrets o
         where s.name = 'right' and o.name = 'webhook'",
    )
    .await;
    safe.sql(
        "update secrets s set wrapped_key = o.wrapped_key, sealed = o.sealed from secrets o
         where s.name = 'left' and o.name = 'left' and s.workspace_id <> o.workspace_id",
    )
    .await;
    safe.sql("update secrets set purpose = 'planner_key' where name = 'webhook'").await;
    for name in ["tag", "nonce", "wrapped", "right", "left", "webhook"] {
        let error = safe.read(name).await.unwrap_err();
        assert!(error.contains("changed outside of muster"), "{name}: {error}");
    }
    assert!(safe.open_in(other, "left").await.is_err());
    // A name is for people and bound to nothing.
    safe.sql("update secrets set name = 'new' where name = 'renamed'").await;
    assert_eq!(safe.read("new").await, Ok(Some(SECRET.to_owned())));

    // A rotation does not make a changed row a good one, and changes nothing.
    safe.keys.write(format!("{}{}", line(2), line(1)));
    let refused = safe.admin().await.rotate_secrets().await.unwrap_err();
    assert_eq!(refused.code(), Code::WrongState);
    assert_eq!(safe.read("new").await, Ok(Some(SECRET.to_owned())));
}

#[tokio::test]
async fn another_or_no_key_file_is_a_clear_refusal() {
    let safe = Safe::open().await;
    assert_eq!(safe.app.unreadable_secrets().await.unwrap(), None);
    safe.set(Purpose::PlannerKey, "main", SECRET).await;
    assert_eq!(safe.app.unreadable_secrets().await.unwrap(), None);

    safe.keys.write(line(2));
    let error = safe.read("main").await.unwrap_err();
    assert!(error.contains("MUSTER_SECRET_KEY_FILE"), "{error}");
    assert!(safe.app.unreadable_secrets().await.unwrap().is_some());
    for text in ["", "nonsense", "0000"] {
        safe.keys.write(text);
        let error = safe.read("main").await.unwrap_err();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
    }

    // The app of the service has no keys at all.
    let local = safe.service.app.local_admin(Some(safe.service.workspace)).await.unwrap();
    let refused = local.set_secret(Purpose::PlannerKey, "new", &SecretString::from(SECRET)).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("there is no master key") && !error.contains(SECRET), "{error}");
    assert_eq!(local.list_secrets().await.unwrap().len(), 1);

    safe.keys.write(line(1));
    assert_eq!(safe.read("main").await, Ok(Some(SECRET.to_owned())));
}

#[tokio::test]
async fn bad_names_and_values_are_refused() {
    let safe = Safe::open().await;
    let long = "x".repeat(16 * 1024 + 1);
    for (name, value) in [("", SECRET), ("two\nlines", SECRET), ("a", ""), ("a", &long)] {
        let value = SecretString::from(value);
        let refused = safe.admin().await.set_secret(Purpose::PlannerKey, name, &value).await;
        assert_eq!(refused.unwrap_err().code(), Code::Invalid, "{name}");
    }
    safe.set(Purpose::PlannerKey, "longest", &long[1..]).await;
    assert_eq!(safe.read("longest").await, Ok(Some(long[1..].to_owned())));
}

/// A rotation that is killed after a batch leaves every secret readable, and the next one completes it.
#[tokio::test]
async fn a_rotation_that_is_cut_off_is_repeated() {
    let safe = Safe::open().await;
    let count = 250;
    for number in 0..count {
        // Ids are in the order of time.
        safe.service.clock.advance(Duration::from_millis(1));
        safe.set(Purpose::PlannerKey, &format!("{number}"), &format!("value {number}")).await;
    }
    let all_readable = async || {
        for number in 0..count {
            let value = safe.read(&number.to_string()).await;
            assert_eq!(value, Ok(Some(format!("value {number}"))));
        }
    };
    let before = safe.admin().await.list_secrets().await.unwrap();

    safe.keys.write(format!("{}{}", line(2), line(1)));
    let step = safe.admin().await.rotate_secrets().await.unwrap();
    assert_eq!(step, Rotated { secrets: 100, done: false });
    // Dropped in the middle of a step, where it waits for a row, as by a kill: nothing of it stays.
    let mut other = safe.pool().begin().await.unwrap();
    let held = "select from secrets order by secret_id offset 150 limit 1 for update";
    sqlx::query(held).execute(&mut *other).await.unwrap();
    let mut cut = Box::pin(async {
        let admin = safe.admin().await;
        admin.rotate_secrets().await
    });
    tokio::select! {
        step = &mut cut => panic!("it did not wait: {step:?}"),
        () = until_blocked(safe.pool(), 1) => {}
    }
    drop(cut);
    other.rollback().await.unwrap();
    all_readable().await;
    // A service that still has the old key alone reads the rest, and says why it cannot read these.
    safe.keys.write(line(1));
    let readable = safe.read("0").await.is_ok() as u8 + safe.read("249").await.is_ok() as u8;
    assert_eq!(readable, 1);

    safe.keys.write(format!("{}{}", line(2), line(1)));
    let mut rotated = 100;
    loop {
        let step = safe.admin().await.rotate_secrets().await.unwrap();
        rotated += step.secrets;
        if step.done {
            break;
        }
    }
    assert_eq!(rotated, count);
    safe.keys.write(line(2));
    all_readable().await;
    assert_eq!(safe.app.unreadable_secrets().await.unwrap(), None);
    let idle = safe.admin().await.rotate_secrets().await.unwrap();
    assert_eq!(idle, Rotated { secrets: 0, done: true });

    let after = safe.admin().await.list_secrets().await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.master_key_fingerprint, after.master_key_fingerprint);
        assert_eq!((before.id, before.updated_at), (after.id, after.updated_at));
    }
}

/// A secret that is set while the keys change is under a key that stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_set_during_a_rotation_is_not_lost() {
    let safe = Safe::open().await;
    for round in 0..10u8 {
        safe.keys.write(line(round * 2 + 1));
        let (app, workspace) = (safe.app.clone(), safe.service.workspace);
        let setter = tokio::spawn(async move {
            for number in 0..20 {
                let admin = app.local_admin(Some(workspace)).await.unwrap();
                let (name, value) = (format!("{round}-{number}"), SecretString::from(SECRET));
                admin.set_secret(Purpose::PlannerKey, &name, &value).await.unwrap();
            }
        });
        safe.keys.write(format!("{}{}", line(round * 2 + 3), line(round * 2 + 1)));
        while !safe.admin().await.rotate_secrets().await.unwrap().done {}
        safe.keys.write(line(round * 2 + 3));
        setter.await.unwrap();
        assert_eq!(safe.app.unreadable_secrets().await.unwrap(), None);
    }
    let total = safe.admin().await.list_secrets().await.unwrap().len();
    assert_eq!(total, 200);
}
