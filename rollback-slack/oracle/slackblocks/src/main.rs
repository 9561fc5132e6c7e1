//! Reads every `*.json` of a folder as a message or a modal and tells which ones `slackblocks`
//! refuses. Exits 0 if it takes all of them and there was at least one, 1 otherwise.

use std::process::ExitCode;
use std::{env, fs, io};

use serde_json::Value;
use slackblocks::{MessagePayload, ModalView};

fn main() -> ExitCode {
    let Some(folder) = env::args().nth(1) else {
        eprintln!("usage: slackblocks-oracle FOLDER");
        return ExitCode::FAILURE;
    };
    match judge(&folder) {
        Ok((0, _)) => {
            eprintln!("there is no .json in {folder}");
            ExitCode::FAILURE
        }
        Ok((judged, refused)) => {
            println!("{judged} judged, {refused} refused");
            if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{folder} cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(folder: &str) -> io::Result<(usize, usize)> {
    let (mut judged, mut refused) = (0, 0);
    let mut paths: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "json")) {
        judged += 1;
        let value: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        let verdict = if value["type"] == "modal" {
            ModalView::try_from(value).map(|_| ()).map_err(|error| error.to_string())
        } else {
            MessagePayload::try_from(value).map(|_| ()).map_err(|error| error.to_string())
        };
        if let Err(error) = verdict {
            refused += 1;
            println!("{}: {error}", path.display());
        }
    }
    Ok((judged, refused))
}
