"""Results as text."""

from pdeops.report.tables import metric_table


def test_a_table_is_aligned():
    text = metric_table({"test/relative_l2": 0.0123456, "test/x": 7.0}, "test: 3 samples")
    assert text.splitlines() == [
        "test: 3 samples",
        "----------------------------",
        "test/relative_l2     0.01235",
        "test/x                     7",
    ]
