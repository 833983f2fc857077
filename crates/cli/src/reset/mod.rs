//! Sets an application back (Kafka's `StreamsResetter`, `kafka-streams-application-reset`).
//!
//! Everything is found out and checked first, and told as a plan; a dry run ends there.
//!
//! # Differs from Kafka Streams
//! Topics that are not there, and places in a file that are not, are errors before anything is done.
//! Local state is deleted too, where `--state-dir` says. Groups of the streams protocol are reset
//! with the same command. The configuration file has librdkafka's properties.

mod plan;
mod target;

use std::io::Write;

use kstreams_core::error::Error;

use crate::Failure;
use crate::args::{Cluster, ResetArgs};

use plan::Plan;
pub(crate) use plan::internal_topics;

pub(crate) fn run(
    cluster: &Cluster,
    args: &ResetArgs,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let group = cluster.groups.describe(&args.application_id, cluster.timeout)?;
    let n_members = group.members.len();
    if n_members > 0 && !args.force {
        let members: Vec<&str> = group.members.iter().map(|m| m.client_id.as_str()).collect();
        return Err(Failure::new(format!(
            "group {} has {n_members} members ({}): stop all instances of the application; if they \
             are stopped and the group still waits for them, use --force",
            group.id,
            members.join(", ")
        )));
    }
    let plan = Plan::new(cluster, args)?;
    if n_members > 0 {
        writeln!(out, "remove {n_members} members from group {}", group.id)?;
    }
    plan.write(args, out)?;
    if args.dry_run {
        writeln!(out, "dry run: nothing was done")?;
        return Ok(());
    }
    if n_members > 0 {
        cluster.groups.remove_members(&group, cluster.timeout)?;
    }
    if !plan.positions.is_empty() {
        cluster.groups.set_positions(&args.application_id, &plan.targets())?;
    }
    cluster.admin()?.delete_topics(&plan.delete, cluster.timeout)?;
    if let Some(state_dir) = &args.state_dir {
        let cleaned = kstreams_runtime::clean_up(state_dir, &args.application_id);
        let after = |error: Error| {
            Failure::new(format!("positions and topics are reset, local state is not: {error}"))
        };
        if !cleaned.map_err(after)? {
            writeln!(out, "there was no local state in {}", state_dir.display())?;
        }
    } else {
        writeln!(
            out,
            "done; delete the local state of every instance before it starts again (--state-dir, or \
             kstreams::clean_up)"
        )?;
    }
    Ok(())
}
