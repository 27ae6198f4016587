-- Views that answer what people ask about attendance; docs/how-to/analyse.md explains each. Plain SQL, run in DuckDB.
-- They read two relations: attendance, the landed rows, and schools, with their names.

-- parameters
CREATE OR REPLACE VIEW parameters AS
SELECT
    -- There, if this part of the day's sections says present or tardy.
    50 AS attended_percent,
    -- Chronically absent: absent on this part of the days on record.
    10 AS chronic_percent,
    -- A school day of the district: this part of its schools has rows.
    50 AS speaking_percent,
    -- A school records presence if this part of its student-days is present.
    50 AS present_percent;

-- student_days
CREATE OR REPLACE VIEW student_days AS
WITH live AS (
    SELECT
        district_id, school_id, attendance_date, student_id,
        attendance_type = 'daily' AS is_daily,
        CASE attendance_status WHEN 'present' THEN 1 WHEN 'tardy' THEN 1 WHEN 'absent' THEN 0 END AS was_there,
        CASE attendance_status WHEN 'tardy' THEN 1 ELSE 0 END AS was_tardy
    FROM attendance
    WHERE missing_since IS NULL
),

counted AS (
    SELECT
        district_id, school_id, attendance_date, student_id,
        MAX(CASE WHEN is_daily THEN was_there END) AS daily_there,
        MAX(CASE WHEN is_daily THEN was_tardy ELSE 0 END) AS daily_tardy,
        COUNT(CASE WHEN NOT is_daily THEN was_there END) AS sections,
        SUM(CASE WHEN NOT is_daily THEN was_there ELSE 0 END) AS sections_attended,
        SUM(CASE WHEN NOT is_daily THEN was_tardy ELSE 0 END) AS sections_tardy
    FROM live
    GROUP BY district_id, school_id, attendance_date, student_id
)

SELECT
    district_id, school_id, attendance_date, student_id,
    EXTRACT(YEAR FROM attendance_date)
    - CASE WHEN EXTRACT(MONTH FROM attendance_date) < 7 THEN 1 ELSE 0 END AS school_year,
    CASE
        WHEN daily_there = 1 AND daily_tardy = 1 THEN 'tardy'
        WHEN daily_there = 1 THEN 'present'
        WHEN daily_there = 0 THEN 'absent'
        WHEN sections = 0 THEN 'unknown'
        WHEN 100 * sections_attended < parameters.attended_percent * sections THEN 'absent'
        WHEN sections_tardy > 0 THEN 'tardy'
        ELSE 'present'
    END AS day_status,
    CASE WHEN daily_there IS NOT NULL THEN 'daily' WHEN sections > 0 THEN 'section' END AS decided_by,
    sections, sections_attended, sections_tardy
FROM counted
CROSS JOIN parameters;

-- school_years
CREATE OR REPLACE VIEW school_years AS
SELECT
    district_id, school_id, school_year,
    MIN(attendance_date) AS first_day,
    MAX(attendance_date) AS last_day,
    COUNT(*) AS student_days,
    100 * SUM(CASE WHEN day_status = 'present' THEN 1 ELSE 0 END)
    >= MAX(parameters.present_percent) * SUM(CASE WHEN day_status <> 'unknown' THEN 1 ELSE 0 END) AS records_presence
FROM student_days
CROSS JOIN parameters
GROUP BY district_id, school_id, school_year;

-- attendance_rates
CREATE OR REPLACE VIEW attendance_rates AS
WITH counted AS (
    SELECT
        district_id, school_id, school_year, attendance_date,
        SUM(CASE WHEN day_status IN ('present', 'tardy') THEN 1 ELSE 0 END) AS students_there,
        SUM(CASE WHEN day_status = 'tardy' THEN 1 ELSE 0 END) AS students_tardy,
        SUM(CASE WHEN day_status = 'absent' THEN 1 ELSE 0 END) AS students_absent,
        SUM(CASE WHEN day_status = 'unknown' THEN 1 ELSE 0 END) AS students_unknown
    FROM student_days
    GROUP BY district_id, school_id, school_year, attendance_date
)

SELECT
    counted.district_id, counted.school_id,
    COALESCE(schools.name, counted.school_id) AS school_name,
    counted.attendance_date, counted.students_there, counted.students_tardy, counted.students_absent,
    counted.students_unknown,
    CASE
        WHEN school_years.records_presence
            THEN 1.0 * counted.students_there / NULLIF(counted.students_there + counted.students_absent, 0)
    END AS attendance_rate
FROM counted
INNER JOIN school_years
    ON
        counted.district_id = school_years.district_id
        AND counted.school_id = school_years.school_id
        AND counted.school_year = school_years.school_year
LEFT JOIN schools ON counted.district_id = schools.district_id AND counted.school_id = schools.school_id;

-- chronic_absence
CREATE OR REPLACE VIEW chronic_absence AS
WITH days AS ( -- one for each student and date, in whatever schools
    SELECT
        student_days.district_id, student_days.school_year, student_days.student_id, student_days.attendance_date,
        MAX(CASE WHEN student_days.day_status = 'absent' THEN 0 ELSE 1 END) AS was_there
    FROM student_days
    INNER JOIN school_years
        ON
            student_days.district_id = school_years.district_id
            AND student_days.school_id = school_years.school_id
            AND student_days.school_year = school_years.school_year
    WHERE school_years.records_presence AND student_days.day_status <> 'unknown'
    GROUP BY
        student_days.district_id, student_days.school_year, student_days.student_id, student_days.attendance_date
),

counted AS (
    SELECT
        district_id, school_year, student_id,
        COUNT(*) AS days_on_record,
        SUM(1 - was_there) AS days_absent
    FROM days
    GROUP BY district_id, school_year, student_id
)

SELECT
    counted.district_id, counted.school_year, counted.student_id, counted.days_on_record, counted.days_absent,
    1.0 * counted.days_absent / counted.days_on_record AS absent_part,
    100 * counted.days_absent >= parameters.chronic_percent * counted.days_on_record AS is_chronic
FROM counted
CROSS JOIN parameters;

-- chronic_absence_by_school
CREATE OR REPLACE VIEW chronic_absence_by_school AS
WITH pupils AS (
    SELECT DISTINCT district_id, school_id, school_year, student_id
    FROM student_days
)

SELECT
    pupils.district_id, pupils.school_id,
    COALESCE(MAX(schools.name), pupils.school_id) AS school_name,
    pupils.school_year,
    COUNT(*) AS students,
    SUM(CASE WHEN chronic_absence.is_chronic THEN 1 ELSE 0 END) AS students_chronic,
    1.0 * SUM(CASE WHEN chronic_absence.is_chronic THEN 1 ELSE 0 END) / COUNT(*) AS chronic_part
FROM pupils
INNER JOIN chronic_absence
    ON
        pupils.district_id = chronic_absence.district_id
        AND pupils.school_year = chronic_absence.school_year
        AND pupils.student_id = chronic_absence.student_id
LEFT JOIN schools ON pupils.district_id = schools.district_id AND pupils.school_id = schools.school_id
GROUP BY pupils.district_id, pupils.school_id, pupils.school_year;

-- tardies
CREATE OR REPLACE VIEW tardies AS
SELECT
    district_id, school_id, school_year, student_id,
    SUM(CASE WHEN day_status = 'tardy' THEN 1 ELSE 0 END) AS days_tardy,
    SUM(sections_tardy) AS sections_tardy,
    SUM(CASE WHEN day_status <> 'unknown' THEN 1 ELSE 0 END) AS days_on_record
FROM student_days
GROUP BY district_id, school_id, school_year, student_id
HAVING SUM(CASE WHEN day_status = 'tardy' THEN 1 ELSE 0 END) + SUM(sections_tardy) > 0;

-- changed_days
CREATE OR REPLACE VIEW changed_days AS
WITH firsts AS (
    SELECT district_id, school_id, attendance_date, MIN(created) AS first_created
    FROM attendance
    GROUP BY district_id, school_id, attendance_date
),

counted AS (
    SELECT
        attendance.district_id, attendance.school_id, attendance.attendance_date, firsts.first_created,
        SUM(CASE WHEN attendance.last_modified > attendance.created THEN 1 ELSE 0 END) AS rows_corrected,
        SUM(CASE WHEN attendance.created > firsts.first_created + INTERVAL '1' DAY THEN 1 ELSE 0 END) AS rows_late,
        SUM(CASE WHEN attendance.missing_since IS NOT NULL THEN 1 ELSE 0 END) AS rows_removed,
        MAX(attendance.last_modified) AS last_modified,
        MAX(attendance.missing_since) AS last_removed
    FROM attendance
    INNER JOIN firsts
        ON
            attendance.district_id = firsts.district_id
            AND attendance.school_id = firsts.school_id
            AND attendance.attendance_date = firsts.attendance_date
    GROUP BY attendance.district_id, attendance.school_id, attendance.attendance_date, firsts.first_created
)

SELECT *
FROM counted
WHERE rows_corrected + rows_late + rows_removed > 0;

-- silent_schools
CREATE OR REPLACE VIEW silent_schools AS
WITH speaking AS (
    SELECT DISTINCT district_id, school_id, attendance_date
    FROM student_days
),

dates AS (
    SELECT DISTINCT district_id, attendance_date
    FROM speaking
),

firsts AS ( -- a school that was silent all this year has spoken in an earlier one
    SELECT district_id, school_id, MIN(first_day) AS first_day
    FROM school_years
    WHERE records_presence
    GROUP BY district_id, school_id
),

expected AS (
    SELECT
        dates.district_id, firsts.school_id, dates.attendance_date,
        COALESCE(schools.name, firsts.school_id) AS school_name,
        CASE WHEN speaking.school_id IS NULL THEN 0 ELSE 1 END AS speaks
    FROM dates
    INNER JOIN firsts ON dates.district_id = firsts.district_id AND dates.attendance_date >= firsts.first_day
    LEFT JOIN schools ON firsts.district_id = schools.district_id AND firsts.school_id = schools.school_id
    LEFT JOIN speaking
        ON
            dates.district_id = speaking.district_id
            AND dates.attendance_date = speaking.attendance_date
            AND firsts.school_id = speaking.school_id
    WHERE dates.attendance_date <= COALESCE(schools.last_seen, dates.attendance_date)
),

school_days AS (
    SELECT expected.district_id, expected.attendance_date, SUM(expected.speaks) AS schools_speaking
    FROM expected
    CROSS JOIN parameters
    GROUP BY expected.district_id, expected.attendance_date
    HAVING 100 * SUM(expected.speaks) >= MAX(parameters.speaking_percent) * COUNT(*)
)

SELECT
    expected.district_id, expected.school_id, expected.school_name, expected.attendance_date,
    school_days.schools_speaking
FROM expected
INNER JOIN school_days
    ON expected.district_id = school_days.district_id AND expected.attendance_date = school_days.attendance_date
WHERE expected.speaks = 0;
