"""Failed schools, counted by cause."""

from airflow_provider_clever.transfer.causes import counted_causes


def test_one_cause_of_many_schools_is_told_once_and_rarer_ones_after_it() -> None:
    ids = [f"65cc{number:020}" for number in range(25)]
    failures = [(one, f"School {one[-2:]}", f"Clever answered 500 for /schools/{one}: wait.") for one in ids]
    failures.insert(3, ("65cc99", "Birch (65cc99)", "/lake/school-65cc99 is damaged."))
    text = counted_causes(failures)
    assert text.startswith("25 schools: Clever answered 500 for /schools/…: wait (School 00, School 01, ")
    assert text.endswith("School 09 and 15 more); Birch (65cc99): /lake/school-65cc99 is damaged")


def test_causes_beyond_the_fifth_are_counted() -> None:
    text = counted_causes((f"65cc0{number}", f"school {number}", f"reason {number * 'x'}") for number in range(8))
    assert text.count("reason ") == 5
    assert text.endswith("; 3 more schools for other reasons")
