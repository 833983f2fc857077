//! What is shown at the end: the league table, the lines of the statistics, a chart.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::path::Path;

use kstreams::prelude::*;
use plotters::prelude::*;
use plotters::style::colors::full_palette::{BROWN, GREY, ORANGE, PINK, PURPLE, TEAL};

use crate::processors::ranked;
use crate::results::Tables;
use crate::statistics::Mean;

/// A line for each key, sorted, as `reference.py` writes them.
pub(crate) fn statistics(tables: &Tables) -> String {
    fn add(lines: &mut Vec<String>, kind: &str, of: &BTreeMap<String, impl Display>) {
        lines.extend(of.iter().map(|(key, value)| format!("{kind} {key} {value}")));
    }
    let mut lines = Vec::new();
    add(&mut lines, "airline", &tables.airlines);
    add(&mut lines, "hour", &tables.hours);
    add(&mut lines, "route", &tables.routes);
    lines.push(format!("total rows={} bad={}", tables.rows(), tables.bad()));
    lines.sort();
    lines.join("\n") + "\n"
}

/// The airlines, the most punctual first.
pub(crate) fn league(tables: &Tables) -> Result<String> {
    let mut out = String::new();
    writeln!(
        out,
        "    {:<30} {:>7} {:>9} {:>6} {:>10}",
        "", "flights", "cancelled", "late", "delay"
    )?;
    let airlines: Vec<_> = tables.airlines.clone().into_iter().collect();
    for (place, (_, airline)) in ranked(&airlines).into_iter().enumerate() {
        let late = 100.0 * airline.late as f64 / airline.delays.count as f64;
        let mean = Mean(&airline.delays);
        writeln!(
            out,
            "{:>3} {:<30} {:>7} {:>9} {late:>5.1}% {mean:>6} min",
            place + 1,
            airline.name,
            airline.flights,
            airline.cancelled,
        )?;
    }
    Ok(out)
}

/// The lines of a chart, and under how few arrivals at an hour a point says nothing.
const COLOURS: [RGBColor; 9] = [BLUE, RED, GREEN, ORANGE, PURPLE, BROWN, TEAL, PINK, GREY];
const FEW: i64 = 10;

/// Draws the mean delay by hour of the day, for the airlines with most flights.
pub(crate) fn chart(tables: &Tables, file: &Path) -> Result {
    draw(tables, file).map_err(|error| Error::from(format!("{}: {error}", file.display())))
}

fn draw(tables: &Tables, file: &Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut largest: Vec<_> = tables.airlines.iter().collect();
    largest.sort_by_key(|(_, airline)| -airline.flights);
    largest.truncate(COLOURS.len());
    let points = |carrier: &str| -> Vec<(i32, f64)> {
        let at = |hour: i32| {
            let delays = &tables.hours.get(&format!("{hour:02} {carrier}"))?.delays;
            (delays.count >= FEW).then(|| (hour, delays.mean()))
        };
        (0..24).filter_map(at).collect()
    };
    let all = largest.iter().flat_map(|(carrier, _)| points(carrier)).map(|(_, mean)| mean);
    let (low, high) =
        all.fold((0.0, 1.0), |(low, high): (f64, f64), mean| (low.min(mean), high.max(mean)));

    let root = SVGBackend::new(file, (1000, 600)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Mean delay at arrival by hour of scheduled departure", ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(5..23, low - 5.0..high + 5.0)?;
    chart.configure_mesh().x_desc("hour").y_desc("minutes").x_labels(19).draw()?;
    for ((carrier, airline), colour) in largest.iter().zip(COLOURS) {
        let line = LineSeries::new(points(carrier), colour.stroke_width(2));
        chart
            .draw_series(line)?
            .label(&airline.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
