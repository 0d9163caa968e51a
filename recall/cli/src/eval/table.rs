//! The report as a table for people.

use std::collections::BTreeSet;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::haystack::Kind;
use super::report::{Figure, Report, SetReport};
use super::score::Metric;

/// One table for each kind of haystack, a line for each set and below it one for each of its categories.
pub(super) fn text(report: &Report) -> String {
    let mut kinds: Vec<Kind> = Vec::new();
    for set in &report.sets {
        if !kinds.contains(&set.kind) {
            kinds.push(set.kind);
        }
    }
    let tables = kinds.into_iter().map(|kind| {
        let sets: Vec<&SetReport> = report.sets.iter().filter(|set| set.kind == kind).collect();
        format!("{}, {}\n{}\n", kind.word(), sets[0].mode, table(kind, &sets))
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn table(kind: Kind, sets: &[&SetReport]) -> String {
    let metrics: BTreeSet<Metric> = sets.iter().flat_map(|set| set.metrics.keys().copied()).collect();
    let main = Metric::main(kind);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);

    let mut header = vec!["set".to_owned(), "docs".to_owned(), "queries".to_owned()];
    for metric in &metrics {
        header.push(metric.name().to_owned());
        if *metric == main {
            header.push("95 %".to_owned());
        }
    }
    header.extend(["p50 ms", "p95 ms"].map(str::to_owned));
    let columns = header.len();
    table.add_row(cells(header));

    for set in sets {
        let mut row = vec![set.set.clone(), set.docs.to_string(), set.queries.to_string()];
        for metric in &metrics {
            row.push(share(set.metrics.get(metric)));
            if *metric == main {
                let ends = set.intervals.get(metric);
                row.push(ends.map(|[low, high]| format!("{:.3}–{:.3}", low.0, high.0)).unwrap_or_default());
            }
        }
        row.extend([&set.latency_ms.p50, &set.latency_ms.p95].map(|ms| format!("{:.1}", ms.0)));
        table.add_row(cells(row));
        for (name, category) in &set.categories {
            let mut row = vec![format!("  {name}"), String::new(), category.queries.to_string()];
            for metric in &metrics {
                row.push(share(category.metrics.get(metric)));
                if *metric == main {
                    row.push(String::new());
                }
            }
            row.resize(columns, String::new());
            table.add_row(cells(row));
        }
    }
    // Cells are padded on both sides.
    let trimmed = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    table.lines().map(trimmed).collect::<Vec<_>>().join("\n")
}

fn cells(texts: Vec<String>) -> Vec<Cell> {
    let align = |column| if column == 0 { CellAlignment::Left } else { CellAlignment::Right };
    texts.into_iter().enumerate().map(|(column, text)| Cell::new(text).set_alignment(align(column))).collect()
}

fn share(figure: Option<&Figure>) -> String {
    figure.map(|figure| format!("{:.3}", figure.0)).unwrap_or_default()
}
