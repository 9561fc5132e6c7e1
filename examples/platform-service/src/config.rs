//! `rollback.yaml`: read, judged, and everything that is wrong with it told at once.

mod judge;
mod model;
mod problem;
mod rules;
mod schema;
mod text;
mod yaml;

pub(crate) use model::{
    Checkpoints as CheckpointsConfig, Environment as EnvironmentConfig, File, FourEyes,
    HealthCheck, People, SinkName,
};
pub use problem::{Place, Problem, Problems};
pub use schema::schema;
pub(crate) use text::{FilePath, KubernetesName, Time, Url, Variable, read_duration};

use crate::secrets::{Environment, NoSecret};
use problem::Path;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;

/// Where the store is.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the two stores that there are")]
pub enum StorePlace {
    /// A SQLite file, for one process.
    File(PathBuf),
    /// A PostgreSQL database, for several; in its address there may be a password.
    Server(SecretString),
}

/// A configuration that was read and found good.
#[derive(Debug)]
pub struct Config {
    pub(crate) file: File,
    pub(crate) store: StorePlace,
}

impl Config {
    /// Reads a file. Relative paths in it are taken from the working directory.
    ///
    /// # Errors
    ///
    /// [`Problems`], all of them. Nothing was started and nobody was asked.
    pub fn load(path: &std::path::Path, environment: &Environment) -> Result<Self, Problems> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text, environment),
            Err(error) => {
                let what = format!("the configuration cannot be read: {error}");
                let remedy = "name another file with --config";
                let problem = Problem::new(Place::START, &Path::default(), what, remedy);
                Err(Problems::new(&name, vec![problem]))
            }
        }
    }

    /// Where the store is.
    #[must_use]
    pub const fn store(&self) -> &StorePlace {
        &self.store
    }

    /// Reads a configuration's text; `name` is what its problems are told under.
    ///
    /// # Errors
    ///
    /// [`Problems`], all of them.
    pub fn parse(name: &str, text: &str, environment: &Environment) -> Result<Self, Problems> {
        let (root, mut problems) = yaml::read(text);
        // What is not YAML has been half read: more would be said of it than is wrong.
        let is_whole = problems.is_empty() || !root.entries().is_empty();
        if is_whole {
            let schema = schema();
            problems.extend(judge::judge(&schema, &schema, &root, &Path::default()));
            problems.extend(rules::rules(&root, environment));
        }
        let (store, wrong) = store(&root, environment);
        problems.extend(wrong);
        if !problems.is_empty() {
            return Err(Problems::new(name, problems));
        }
        match serde_json::from_value(root.to_json()) {
            Ok(file) => Ok(Self { file, store }),
            Err(error) => {
                let what = format!("the configuration cannot be used: {error}");
                let remedy = "correct that key";
                let problem = Problem::new(Place::START, &Path::default(), what, remedy);
                Err(Problems::new(name, vec![problem]))
            }
        }
    }
}

/// Where the store is: by the environment, or else by the file.
fn store(root: &yaml::Node, environment: &Environment) -> (StorePlace, Option<Problem>) {
    const DEFAULT: &str = "sqlite://rollback.db";
    let written = root.get("store").and_then(yaml::Node::text);
    let wrong = |what: &str, remedy: String| {
        let what = format!("the environment variable `DATABASE_URL`: {what}");
        let problem = Problem::new(Place::START, &Path::default(), what, remedy);
        (StorePlace::File(PathBuf::new()), Some(problem))
    };
    match environment.secret("DATABASE_URL") {
        Ok(address) => match text::store(address.expose_secret()) {
            Ok(place) => (place, None),
            Err((what, remedy)) => wrong(&what, remedy),
        },
        Err(unreadable @ (NoSecret::File { .. } | NoSecret::Implausible { .. })) => {
            wrong(&unreadable.to_string(), "write the address into that file".into())
        }
        // What is wrong with the file's own was told by its schema.
        Err(NoSecret::Variable(_)) => {
            let place = text::store(written.unwrap_or(DEFAULT));
            (place.unwrap_or_else(|_told| StorePlace::File(PathBuf::new())), None)
        }
    }
}
