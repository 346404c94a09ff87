//! Stretches of time whose events are sent: where the next one overlaps, they are not sent again.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// From the first time on, and before the second.
pub(super) type Span = (Timestamp, Timestamp);

/// Stretches that touch are one.
#[derive(Debug, Default)]
pub(super) struct Stretches(BTreeMap<Timestamp, Timestamp>);

impl Stretches {
    /// What of a span is in none of them.
    pub(super) fn rest(&self, (mut from, to): Span) -> Vec<Span> {
        let mut rest = Vec::new();
        for (begin, end) in self.0.range(..to) {
            rest.extend((from < *begin).then_some((from, *begin)));
            from = from.max(*end);
        }
        rest.extend((from < to).then_some((from, to)));
        rest
    }

    /// A span more.
    pub(super) fn add(&mut self, (mut from, mut to): Span) {
        let touching: Vec<Span> =
            self.0.range(..=to).filter(|(_, end)| **end >= from).map(|(begin, end)| (*begin, *end)).collect();
        for (begin, end) in touching {
            self.0.remove(&begin);
            (from, to) = (from.min(begin), to.max(end));
        }
        self.0.insert(from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, to: i64) -> Span {
        (Timestamp::from_second(from).unwrap(), Timestamp::from_second(to).unwrap())
    }

    #[test]
    fn only_what_is_new_is_left_of_a_stretch() {
        let mut stretches = Stretches::default();
        assert_eq!(stretches.rest(span(0, 10)), [span(0, 10)]);
        stretches.add(span(10, 20));
        stretches.add(span(30, 40));
        for (asked, rest) in [
            (span(0, 5), vec![span(0, 5)]),
            (span(0, 10), vec![span(0, 10)]),
            (span(5, 15), vec![span(5, 10)]),
            (span(12, 18), vec![]),
            (span(10, 20), vec![]),
            (span(15, 35), vec![span(20, 30)]),
            (span(0, 50), vec![span(0, 10), span(20, 30), span(40, 50)]),
            (span(40, 41), vec![span(40, 41)]),
        ] {
            assert_eq!(stretches.rest(asked), rest, "{asked:?}");
        }
        stretches.add(span(20, 30));
        assert_eq!(stretches.0, BTreeMap::from([span(10, 40)]));
        stretches.add(span(0, 50));
        stretches.add(span(5, 6));
        assert_eq!(stretches.0, BTreeMap::from([span(0, 50)]));
    }
}
