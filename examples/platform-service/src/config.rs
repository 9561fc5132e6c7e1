//! `rollback.yaml`: read, judged, and everything that is wrong with it told at once.

mod judge;
mod model;
mod problem;
mod rules;
mod schema;
mod text;
mod yaml;

pub(crate) use model::{
    Checkpoints as CheckpointsConfig, Environment as EnvironmentConfig, File, HealthCheck, People,
    SinkName,
};
pub use problem::{Place, Problem, Problems};
pub use schema::schema;
pub(crate) use text::{FilePath, KubernetesName, Time, Url, Variable, read_duration};

use crate::secrets::Environment;
use problem::Path;
use std::path::PathBuf;

/// A configuration that was read and found good.
#[derive(Debug)]
pub struct Config {
    pub(crate) file: File,
    pub(crate) store: PathBuf,
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
    pub fn store(&self) -> &std::path::Path {
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
fn store(root: &yaml::Node, environment: &Environment) -> (PathBuf, Option<Problem>) {
    let written = root.get("store").and_then(yaml::Node::text);
    if let Some(address) = environment.text("DATABASE_URL") {
        return match text::store(address) {
            Ok(path) => (path, None),
            Err((what, remedy)) => {
                let what = format!("the environment variable `DATABASE_URL`: {what}");
                (PathBuf::new(), Some(Problem::new(Place::START, &Path::default(), what, remedy)))
            }
        };
    }
    // What is wrong with the file's own was told by its schema.
    let path = text::store(written.unwrap_or("sqlite://rollback.db")).unwrap_or_default();
    (path, None)
}
