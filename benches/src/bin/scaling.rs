//! How the CPU time of a record grows with keys, partitions, the depth and width of a topology, and the
//! size of records: runs `engine` on the embedded log, one process for each point, prints a table, and
//! draws the curves into SVG files.
//!
//! `--out docs/performance --records 1000000 --rounds 3 --only keys,partitions,depth,width,bytes`
//!
//! The lowest of the rounds counts: on shared cores, whatever disturbs adds.

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::error::Error;
use std::path::Path;

use kstreams_benches::{Args, peer};
use plotters::prelude::*;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What is changed, along the axis; and what runs.
struct Curve {
    name: &'static str,
    axis: &'static str,
    points: &'static [u64],
    /// A name, and the workload as `peer` knows it.
    lines: &'static [(&'static str, &'static str)],
    /// What a point is given with.
    argument: &'static str,
}

const CURVES: &[Curve] = &[
    Curve {
        name: "keys",
        axis: "keys in the store",
        points: &[10_000, 100_000, 1_000_000, 10_000_000],
        lines: &[("count, RocksDB", "count"), ("count, memory", "count-memory")],
        argument: "--keys",
    },
    Curve {
        name: "partitions",
        axis: "partitions on one thread",
        points: &[1, 4, 16, 64, 256],
        lines: &[
            ("pass-through", "passthrough"),
            ("count, memory", "count-memory"),
            ("count, RocksDB", "count"),
        ],
        argument: "--partitions",
    },
    Curve {
        name: "depth",
        axis: "processors in a chain",
        points: &[1, 10, 50, 100, 200],
        lines: &[("chain", "chain")],
        argument: "--depth",
    },
    Curve {
        name: "width",
        axis: "processors beside each other",
        points: &[1, 4, 16, 64, 200],
        lines: &[("fan-out", "fan-out")],
        argument: "--width",
    },
    Curve {
        name: "bytes",
        axis: "bytes of a value",
        points: &[10, 100, 1_000, 10_000],
        lines: &[("pass-through", "passthrough"), ("count, memory", "count-memory")],
        argument: "--value-bytes",
    },
];

fn main() -> Outcome {
    let args = Args::read(&["out", "records", "rounds", "only"])?;
    let only = args.get("only", "");
    for curve in CURVES.iter().filter(|curve| only.is_empty() || only.contains(curve.name)) {
        let mut lines = Vec::new();
        println!("\n| {} |{}", curve.axis, titles(curve));
        println!("|---|{}", "---|".repeat(curve.lines.len()));
        for (name, workload) in curve.lines {
            let measured: Outcome<Vec<(f64, f64)>> = curve
                .points
                .iter()
                .map(|point| Ok((*point as f64, lowest(curve, workload, *point, &args)?)))
                .collect();
            lines.push((*name, measured?));
        }
        for (index, point) in curve.points.iter().enumerate() {
            let row: String =
                lines.iter().map(|(_, at)| format!(" {:.2} |", at[index].1)).collect();
            println!("| {point} |{row}");
        }
        draw(curve, &lines, Path::new(args.get("out", "docs/performance")))?;
    }
    Ok(())
}

fn titles(curve: &Curve) -> String {
    curve.lines.iter().map(|(name, _)| format!(" {name} |")).collect()
}

/// Microseconds of CPU for each record, the least of some rounds.
fn lowest(curve: &Curve, workload: &str, point: u64, args: &Args) -> Outcome<f64> {
    let mut least = f64::INFINITY;
    // Each key comes at least once, and a run is no longer than it needs to be.
    let wanted = args.number("records", 1_000_000)?;
    let n_records = match curve.name {
        "keys" => wanted.max(point + point / 2),
        "bytes" => (wanted * 100 / point.max(100)).max(100_000),
        _ => wanted,
    };
    for _ in 0..args.number("rounds", 3)? {
        let mut command = peer::command(workload)?;
        command.args([curve.argument, &point.to_string(), "--records", &n_records.to_string()]);
        if curve.name == "keys" {
            command.args(["--key-order", "random"]);
        }
        let done = command.output()?;
        let figures = peer::figures(&String::from_utf8_lossy(&done.stdout));
        let figure = figures.get("cpu_us_per_record");
        least =
            least.min(*figure.ok_or_else(|| {
                format!("{}: {}", curve.name, String::from_utf8_lossy(&done.stderr))
            })?);
    }
    Ok(least)
}

fn draw(curve: &Curve, lines: &[(&str, Vec<(f64, f64)>)], folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}.svg", curve.name));
    let area = SVGBackend::new(&file, (640, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let all = || lines.iter().flat_map(|(_, at)| at);
    let most = all().map(|at| at.1).fold(0.0, f64::max) * 1.1;
    let (first, last) = (curve.points[0] as f64, curve.points[curve.points.len() - 1] as f64);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((first..last).log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc(curve.axis)
        .y_desc("CPU us per record")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()?;
    for (index, (name, at)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(at.iter().copied(), color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
