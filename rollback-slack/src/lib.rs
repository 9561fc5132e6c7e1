//! Slack for the rollback engine: Block Kit views, Web API client, signed interactivity, user-group directory.
