-- The whole standings table of bench/program/channel.yaml as one would tune it by hand for DuckDB, for 2026-06-30 and the
-- usual risk horizon of 90 days. Tables: partners, opportunities, certifications, rates.
--
-- It gives every column of ours but `program_version` (a digest of the program's file). What a first assessment of this
-- program never fills is written as empty: previous and pending tiers, overrides, grace and review dates, per_value,
-- primary_category, benefits, state. It takes for granted what ours looks after: no circle among the parents, a rate for
-- every day, rows that can be read; so `provisional` is never true here.
--
-- One pass over all opportunities: each falls into one of five stretches of days, of which every window is made up;
-- product lines are bits of a mask. A second, narrow pass takes the rows that leave a window before the horizon, of those
-- partners alone that will fall. People are grouped once; how many of them hold each product line is counted in four lanes
-- of one number. Distinct people over the subtree are counted only where there is one. All numbers stand in one row per
-- partner; texts are made in the last statement, which reads that table in order and sorts nothing.
--
-- Stretches, by closed_on: 1 from 2024-07-01, 2 from 2024-09-29, 3 from 2025-07-01, 4 from 2025-09-29, 5 from 2025-12-31.
-- Today's last 12 months are 3 to 5, those at the horizon 4 and 5 (1 and 2, 2 and 3 a year earlier), the pace is 5.

-- thresholds

CREATE OR REPLACE TEMP MACRO silver(region) AS
    (CASE region WHEN 'EMEA' THEN 50000 WHEN 'APAC' THEN 40000 ELSE 60000 END)::DECIMAL(18, 2);
CREATE OR REPLACE TEMP MACRO gold(region) AS
    (CASE region WHEN 'EMEA' THEN 160000 WHEN 'APAC' THEN 120000 ELSE 200000 END)::DECIMAL(18, 2);
CREATE OR REPLACE TEMP MACRO gold_kept(region) AS
    (CASE region WHEN 'EMEA' THEN 130000 WHEN 'APAC' THEN 100000 ELSE 160000 END)::DECIMAL(18, 2);
CREATE OR REPLACE TEMP MACRO platinum(region) AS
    (CASE region WHEN 'EMEA' THEN 400000 WHEN 'APAC' THEN 300000 ELSE 500000 END)::DECIMAL(18, 2);
CREATE OR REPLACE TEMP MACRO gold_people(region) AS CASE region WHEN 'APAC' THEN 2 ELSE 3 END;
CREATE OR REPLACE TEMP MACRO service_renewals(tier, region) AS (CASE tier WHEN 2 THEN 20000
    WHEN 3 THEN CASE region WHEN 'LATAM' THEN 40000 ELSE 60000 END
    WHEN 4 THEN CASE region WHEN 'LATAM' THEN 90000 ELSE 150000 END END)::DECIMAL(18, 2);
CREATE OR REPLACE TEMP MACRO referral_points(tier, region) AS CASE tier WHEN 2 THEN 20
    WHEN 3 THEN CASE region WHEN 'APAC' THEN 40 ELSE 45 END WHEN 4 THEN CASE region WHEN 'APAC' THEN 70 ELSE 75 END END;

-- values and tiers

CREATE OR REPLACE TEMP MACRO line_bit(line) AS
    (CASE line WHEN 'network' THEN 1 WHEN 'cloud' THEN 2 WHEN 'security' THEN 4 WHEN 'storage' THEN 8 END)::TINYINT;
CREATE OR REPLACE TEMP MACRO line_lane(line) AS
    CASE line WHEN 'network' THEN 1::BIGINT WHEN 'cloud' THEN 65536 WHEN 'security' THEN 4294967296
              WHEN 'storage' THEN 281474976710656 END;
CREATE OR REPLACE TEMP MACRO lanes_of_two(lanes) AS
    ((lanes & 65535) >= 2)::TINYINT + (((lanes >> 16) & 65535) >= 2)::TINYINT + (((lanes >> 32) & 65535) >= 2)::TINYINT
    + (((lanes >> 48) & 65535) >= 2)::TINYINT;
CREATE OR REPLACE TEMP MACRO growth_of(now, before) AS (now - before)::DOUBLE / nullif(before, 0)::DOUBLE;
CREATE OR REPLACE TEMP MACRO rate_of(won, lost) AS round(won / nullif(won + lost, 0), 9);
CREATE OR REPLACE TEMP MACRO line_points(lines) AS CASE WHEN lines >= 4 THEN 20 WHEN lines >= 3 THEN 15 WHEN lines >= 1 THEN 5 ELSE 0 END;
CREATE OR REPLACE TEMP MACRO growth_points(growth) AS CASE WHEN growth > 0 THEN least(growth / 0.02, 10) WHEN growth <= 0 THEN 0 END;
CREATE OR REPLACE TEMP MACRO points_of(deals, people, lines, growth) AS
    round(least(deals * 2, 40) + least(people / 6, 1) * 30 + line_points(lines) + coalesce(growth_points(growth), 0), 9);
CREATE OR REPLACE TEMP MACRO reached(has, needs) AS coalesce(has >= needs, false);

-- `stood`: the tier that is held by `keeps`; 0 asks for the requirements alone
CREATE OR REPLACE TEMP MACRO resale_tier(region, revenue, people, deals, growth, win_rate, special, stood) AS CASE
    WHEN revenue >= platinum(region) AND people >= 5
         AND (reached(growth, 0.05) OR reached(win_rate, 0.65) OR special >= 2) THEN 4
    WHEN CASE WHEN stood >= 3 THEN revenue >= gold_kept(region) AND people >= 2
              ELSE revenue >= gold(region) AND people >= gold_people(region) AND deals >= 5 END THEN 3
    WHEN revenue >= silver(region) AND people >= 1 THEN 2
    ELSE 1 END;
CREATE OR REPLACE TEMP MACRO services_tier(region, renewals, people, experts, win_rate, special, growth) AS CASE
    WHEN experts >= 2 AND (renewals >= service_renewals(4, region))::TINYINT + (people >= 5)::TINYINT + 1
         + reached(win_rate, 0.6)::TINYINT + (special >= 2)::TINYINT + reached(growth, 0.1)::TINYINT >= 5 THEN 4
    WHEN experts >= 1 AND (renewals >= service_renewals(3, region))::TINYINT + (people >= 3)::TINYINT + 1
         + reached(win_rate, 0.55)::TINYINT + (special >= 1)::TINYINT + reached(growth, 0.05)::TINYINT >= 4 THEN 3
    WHEN (renewals >= 20000)::TINYINT + (people >= 2)::TINYINT + (experts >= 1)::TINYINT + reached(win_rate, 0.5)::TINYINT
         + (special >= 1)::TINYINT + reached(growth, 0)::TINYINT >= 2 THEN 2
    ELSE 1 END;
CREATE OR REPLACE TEMP MACRO referral_tier(region, points, lines) AS CASE
    WHEN points >= referral_points(4, region) AND lines >= 3 THEN 4
    WHEN points >= referral_points(3, region) THEN 3
    WHEN points >= 20 THEN 2
    ELSE 1 END;

-- texts

-- trimming zeros costs more than all else; what a DOUBLE shows by itself has none
CREATE OR REPLACE TEMP MACRO number_text(x) AS
    CASE WHEN x = floor(x) THEN x::BIGINT::VARCHAR WHEN abs(x) >= 0.001 THEN round(x, 9)::DOUBLE::VARCHAR
         ELSE rtrim(rtrim(printf('%.9f', x), '0'), '.') END;
CREATE OR REPLACE TEMP MACRO percent_text(x) AS
    rtrim(rtrim((floor(round(x * 10000, 5)) / 100)::DECIMAL(18, 2)::VARCHAR, '0'), '.') || ' %';
CREATE OR REPLACE TEMP MACRO entry(name, has, needs, lacks, is_met, place) AS
    {'metric': name, 'value': has, 'required': needs, 'missing': lacks, 'met': is_met, 'path': place, 'exhausted': false};
CREATE OR REPLACE TEMP MACRO counted(name, has, shown, needs, place) AS
    entry(name, shown, needs::VARCHAR, greatest(needs - has, 0)::VARCHAR, has >= needs, place);
CREATE OR REPLACE TEMP MACRO ratio(name, has, shown, needs, place) AS
    entry(name, shown, number_text(needs), number_text(CASE WHEN has >= needs THEN 0 ELSE needs - has END), reached(has, needs), place);
CREATE OR REPLACE TEMP MACRO lever(name, has, needs, lacks, place) AS
    CASE WHEN lacks IS NOT NULL THEN entry(name, has, needs, lacks, false, place) END;
CREATE OR REPLACE TEMP MACRO short(name, has, needs, unit, lacks) AS
    name || ': ' || has || ' of ' || needs || unit || ', ' || lacks || ' missing';
CREATE OR REPLACE TEMP MACRO reason(name, look, has, needs, was_met, is_met) AS CASE WHEN was_met AND NOT is_met THEN name || ' '
    || ['at the current pace', 'if nothing more happens', 'now, with little to spare'][look] || ': ' || coalesce(has, 'unknown')
    || ' (needs ' || needs || ')' END;
CREATE OR REPLACE TEMP MACRO full_part(name, most, place) AS
    {'metric': name, 'value': most, 'required': most, 'missing': '0', 'met': true, 'path': place, 'exhausted': true};

-- rates

CREATE OR REPLACE TEMP TABLE factors AS
WITH periods AS (
    SELECT currency, effective_from AS first_day,
           lead(effective_from, 1, DATE '9999-12-31') OVER (PARTITION BY currency ORDER BY effective_from) AS next_first_day,
           CASE currency WHEN 'EUR' THEN 1 ELSE round(1 / rate, 12) END::DECIMAL(18, 12) AS factor
    FROM rates
)
SELECT currency, day, factor
FROM (SELECT unnest(generate_series(DATE '2024-07-01', DATE '2026-06-30', INTERVAL 1 DAY))::DATE AS day)
JOIN periods ON day >= first_day AND day < next_first_day;

-- what each partner has of its own

-- `kind`: 1 to 5 sold, 11 to 15 renewed, by stretch; 0 lost
CREATE OR REPLACE TEMP TABLE own AS
WITH deals AS (
    SELECT partner_id, is_won AS won, line_bit(product_line) AS line,
           CASE WHEN closed_on >= DATE '2025-12-31' THEN 5 WHEN closed_on >= DATE '2025-09-29' THEN 4
                WHEN closed_on >= DATE '2025-07-01' THEN 3 WHEN closed_on >= DATE '2024-09-29' THEN 2
                ELSE 1 END::TINYINT AS stretch,
           CASE WHEN NOT is_won THEN 0 WHEN type = 'renewal' THEN 10 + stretch ELSE stretch END::TINYINT AS kind,
           round(amount * factor, 2)::DECIMAL(18, 2) AS eur
    FROM opportunities AS deal
    JOIN factors ON factors.currency = deal.currency AND factors.day = deal.closed_on
    WHERE deal.closed_on BETWEEN DATE '2024-07-01' AND DATE '2026-06-30'
      AND deal.is_closed AND deal.created_on <= DATE '2026-06-30'
      AND (deal.closed_on >= DATE '2025-07-01' OR is_won)
)
SELECT partner_id,
       sum(eur) FILTER (kind = 1) AS sold_1, sum(eur) FILTER (kind = 2) AS sold_2, sum(eur) FILTER (kind = 3) AS sold_3,
       sum(eur) FILTER (kind = 4) AS sold_4, sum(eur) FILTER (kind = 5) AS sold_5,
       sum(eur) FILTER (kind = 13) AS renewed_3, sum(eur) FILTER (kind = 14) AS renewed_4,
       sum(eur) FILTER (kind = 15) AS renewed_5,
       count(*) FILTER (won AND stretch = 3)::INT AS won_3, count(*) FILTER (won AND stretch = 4)::INT AS won_4,
       count(*) FILTER (won AND stretch = 5)::INT AS won_5,
       count(*) FILTER (NOT won AND stretch = 3)::INT AS lost_3, count(*) FILTER (NOT won AND stretch = 4)::INT AS lost_4,
       count(*) FILTER (NOT won AND stretch = 5)::INT AS lost_5,
       bit_or(line) FILTER (won AND stretch >= 3) AS lines, bit_or(line) FILTER (won AND stretch >= 4) AS lines_left,
       bit_or(line) FILTER (won AND stretch = 5) AS lines_5
FROM deals
GROUP BY partner_id;

CREATE OR REPLACE TEMP TABLE people AS
WITH valid AS (
    SELECT partner_id, person_id, level, line_lane(product_line) AS lane, coalesce(expires_on, DATE '9999-12-31') AS until
    FROM certifications
    WHERE issued_on <= DATE '2026-06-30' AND coalesce(expires_on > DATE '2026-06-30', true)
)
SELECT partner_id, person_id, max(until) AS until, max(until) FILTER (level = 'expert') AS expert_until,
       bit_or(lane) AS lanes, bit_or(lane) FILTER (until > DATE '2026-09-28') AS lanes_left
FROM valid
GROUP BY partner_id, person_id;

CREATE OR REPLACE TEMP TABLE certified AS
SELECT partner_id, count(*) AS people, count(*) FILTER (until > DATE '2026-09-28') AS people_left,
       count(expert_until) AS experts, count(*) FILTER (expert_until > DATE '2026-09-28') AS experts_left,
       lanes_of_two(sum(lanes)::BIGINT) AS special, lanes_of_two(coalesce(sum(lanes_left), 0)::BIGINT) AS special_left
FROM people
GROUP BY partner_id;

-- subtrees: of every account that has somebody below it, itself among them

CREATE OR REPLACE TEMP TABLE family AS
WITH RECURSIVE above AS (
    SELECT partner_id AS member, parent_id AS ancestor FROM partners WHERE parent_id IS NOT NULL
    UNION ALL
    SELECT above.member, partners.parent_id
    FROM above JOIN partners ON partners.partner_id = above.ancestor
    WHERE partners.parent_id IS NOT NULL
)
SELECT ancestor, member FROM above
UNION ALL
SELECT DISTINCT parent_id, parent_id FROM partners WHERE parent_id IS NOT NULL;

CREATE OR REPLACE TEMP TABLE below AS
SELECT ancestor AS partner_id, sum(sold_1) AS sold_1, sum(sold_2) AS sold_2, sum(sold_3) AS sold_3, sum(sold_4) AS sold_4,
       sum(sold_5) AS sold_5
FROM family JOIN own ON own.partner_id = family.member
GROUP BY ancestor;

CREATE OR REPLACE TEMP TABLE people_below AS
SELECT ancestor AS partner_id, count(*) AS people, count(*) FILTER (until > DATE '2026-09-28') AS people_left
FROM (SELECT ancestor, person_id, max(until) AS until FROM family JOIN people ON people.partner_id = family.member GROUP BY ALL)
GROUP BY ancestor;

-- all numbers of a partner, today, at the horizon (`_left`) and at the pace (`_pace`), and the tiers they give

CREATE OR REPLACE TEMP TABLE numbers AS
WITH summed AS (
    SELECT partners.partner_id, region,
           list_contains(declared_categories, 'reseller') AS declared_reseller,
           list_contains(declared_categories, 'msp') AS declared_msp,
           list_contains(declared_categories, 'referral') AS declared_referral,
           CASE WHEN below.partner_id IS NULL THEN own.sold_1 ELSE below.sold_1 END AS s1,
           CASE WHEN below.partner_id IS NULL THEN own.sold_2 ELSE below.sold_2 END AS s2,
           CASE WHEN below.partner_id IS NULL THEN own.sold_3 ELSE below.sold_3 END AS s3,
           CASE WHEN below.partner_id IS NULL THEN own.sold_4 ELSE below.sold_4 END AS s4,
           CASE WHEN below.partner_id IS NULL THEN own.sold_5 ELSE below.sold_5 END AS s5,
           (coalesce(s4, 0) + coalesce(s5, 0))::DECIMAL(18, 2) AS revenue_left,
           (revenue_left + coalesce(s3, 0))::DECIMAL(18, 2) AS revenue,
           (revenue_left + round(coalesce(s5, 0) * 90 / 182, 2))::DECIMAL(18, 2) AS revenue_pace,
           (coalesce(s1, 0) + coalesce(s2, 0))::DECIMAL(18, 2) AS revenue_before,
           (coalesce(s2, 0) + coalesce(s3, 0))::DECIMAL(18, 2) AS revenue_before_left,
           (coalesce(renewed_4, 0) + coalesce(renewed_5, 0))::DECIMAL(18, 2) AS renewals_left,
           (renewals_left + coalesce(renewed_3, 0))::DECIMAL(18, 2) AS renewals,
           (renewals_left + round(coalesce(renewed_5, 0) * 90 / 182, 2))::DECIMAL(18, 2) AS renewals_pace,
           coalesce(won_4 + won_5, 0) AS deals_left, deals_left + coalesce(won_3, 0) AS deals,
           deals_left + coalesce(won_5, 0) * 90 / 182 AS deals_pace,
           coalesce(lost_4 + lost_5, 0) AS lost_left, lost_left + coalesce(lost_3, 0) AS lost,
           lost_left + coalesce(lost_5, 0) * 90 / 182 AS lost_pace,
           coalesce(bit_count(lines), 0)::TINYINT AS lines_sold, coalesce(bit_count(own.lines_left), 0)::TINYINT AS lines_sold_left,
           lines_sold_left + coalesce(bit_count(lines_5), 0)::INT * 90 / 182 AS lines_sold_pace,
           coalesce(own.lines_left, 0::TINYINT) AS lines_kept,
           coalesce(people_below.people, certified.people, 0)::INT AS people,
           coalesce(people_below.people_left, certified.people_left, 0)::INT AS people_left,
           coalesce(experts, 0)::INT AS experts, coalesce(experts_left, 0)::INT AS experts_left,
           coalesce(special, 0)::TINYINT AS special, coalesce(special_left, 0)::TINYINT AS special_left
    FROM partners
    LEFT JOIN own USING (partner_id)
    LEFT JOIN below USING (partner_id)
    LEFT JOIN certified USING (partner_id)
    LEFT JOIN people_below USING (partner_id)
),
measured AS (
    SELECT *,
           growth_of(revenue, revenue_before) AS exact, growth_of(revenue_left, revenue_before_left) AS exact_left,
           growth_of(revenue_pace, revenue_before_left) AS exact_pace,
           round(exact, 9) AS growth, round(exact_left, 9) AS growth_left, round(exact_pace, 9) AS growth_pace,
           rate_of(deals, lost) AS win_rate, rate_of(deals_left, lost_left) AS win_rate_left,
           rate_of(deals_pace, lost_pace) AS win_rate_pace,
           points_of(deals, people, lines_sold, exact) AS points,
           points_of(deals_left, people_left, lines_sold_left, exact_left) AS points_left,
           points_of(deals_pace, people_left, lines_sold_pace, exact_pace) AS points_pace,
           round(growth_points(exact), 9) AS points_for_growth,
           declared_reseller OR deals >= 3 AS is_reseller
    FROM summed
),
tiered AS (
    SELECT * EXCLUDE (s1, s2, s3, s4, s5, exact, exact_left, exact_pace),
           resale_tier(region, revenue, people, deals, growth, win_rate, special, 0)::TINYINT AS resale,
           services_tier(region, renewals, people, experts, win_rate, special, growth)::TINYINT AS services,
           referral_tier(region, points, lines_sold)::TINYINT AS referring
    FROM measured
)
SELECT *,
       resale_tier(region, revenue_left, people_left, deals_left, growth_left, win_rate_left, special_left, resale)::TINYINT AS resale_left,
       services_tier(region, renewals_left, people_left, experts_left, win_rate_left, special_left, growth_left)::TINYINT AS services_left,
       referral_tier(region, points_left, lines_sold_left)::TINYINT AS referring_left
FROM tiered
ORDER BY partner_id;

DROP TABLE own;
DROP TABLE certified;
DROP TABLE below;
DROP TABLE people_below;

-- those who will have lost a tier at the horizon, and what of theirs goes until then

CREATE OR REPLACE TEMP TABLE falling AS
SELECT numbers.*,
       is_reseller AND resale_left < resale AS resale_falls,
       declared_msp AND services_left < services AS services_falls,
       declared_referral AND referring_left < referring AS referring_falls
FROM numbers
WHERE resale_falls OR services_falls OR referring_falls;

CREATE OR REPLACE TEMP TABLE scope AS
SELECT partner_id AS ancestor, partner_id AS member FROM falling
UNION ALL
SELECT ancestor, member FROM family SEMI JOIN falling ON falling.partner_id = family.ancestor WHERE ancestor <> member;

CREATE OR REPLACE TEMP TABLE moving AS
SELECT ancestor AS partner_id, ancestor = member AS is_own, opportunity_id, is_won AS won,
       is_won AND coalesce(type <> 'renewal', true) AS sold, line_bit(product_line) AS line,
       closed_on >= DATE '2025-07-01' AS late,
       CASE WHEN late THEN closed_on + INTERVAL 1 YEAR ELSE closed_on + INTERVAL 2 YEAR END::DATE AS day,
       round(amount * factor, 2)::DECIMAL(18, 2) AS eur
FROM opportunities AS deal
JOIN scope ON scope.member = deal.partner_id
JOIN factors ON factors.currency = deal.currency AND factors.day = deal.closed_on
WHERE (deal.closed_on BETWEEN DATE '2025-07-01' AND DATE '2025-09-28' OR deal.closed_on BETWEEN DATE '2024-07-01' AND DATE '2024-09-28')
  AND deal.is_closed AND deal.created_on <= DATE '2026-06-30' AND (late OR sold) AND (is_own OR sold);

CREATE OR REPLACE TEMP TABLE changes AS
WITH lines AS (
    SELECT partner_id, max(day) AS day
    FROM moving JOIN falling USING (partner_id)
    WHERE is_own AND won AND late AND (lines_kept & line) = 0
    GROUP BY partner_id, line
),
persons AS (
    SELECT ancestor AS partner_id, max(until) AS day
    FROM scope JOIN people ON people.partner_id = scope.member
    GROUP BY ancestor, person_id
),
special AS (
    SELECT partner_id, max(until, 2)[2] AS day
    FROM (
        SELECT partner_id, product_line, max(coalesce(expires_on, DATE '9999-12-31')) AS until
        FROM certifications SEMI JOIN falling USING (partner_id)
        WHERE issued_on <= DATE '2026-06-30' AND coalesce(expires_on > DATE '2026-06-30', true)
        GROUP BY partner_id, product_line, person_id
    )
    GROUP BY partner_id, product_line
),
parts AS (
    SELECT partner_id, day, sum(eur) FILTER (sold AND late) AS revenue,
           sum(CASE WHEN late THEN eur ELSE -eur END) FILTER (sold) AS before,
           sum(eur) FILTER (is_own AND won AND NOT sold) AS renewals, count(*) FILTER (is_own AND won AND late) AS deals,
           count(*) FILTER (NOT won) AS lost, 0 AS lines, 0 AS people, 0 AS experts, 0 AS special
    FROM moving GROUP BY partner_id, day
    UNION ALL
    SELECT partner_id, day, 0, 0, 0, 0, 0, count(*), 0, 0, 0 FROM lines GROUP BY ALL
    UNION ALL
    SELECT partner_id, day, 0, 0, 0, 0, 0, 0, count(*), 0, 0 FROM persons WHERE day <= DATE '2026-09-28' GROUP BY ALL
    UNION ALL
    SELECT partner_id, expert_until, 0, 0, 0, 0, 0, 0, 0, count(*), 0
    FROM people SEMI JOIN falling USING (partner_id) WHERE expert_until <= DATE '2026-09-28' GROUP BY ALL
    UNION ALL
    SELECT partner_id, day, 0, 0, 0, 0, 0, 0, 0, 0, count(*) FROM special WHERE day <= DATE '2026-09-28' GROUP BY ALL
)
SELECT partner_id, day, coalesce(sum(revenue), 0) AS revenue, coalesce(sum(before), 0) AS before,
       coalesce(sum(renewals), 0) AS renewals, sum(deals) AS deals, sum(lost) AS lost, sum(lines) AS lines, sum(people) AS people,
       sum(experts) AS experts, sum(special) AS special
FROM parts
GROUP BY partner_id, day;

CREATE OR REPLACE TEMP TABLE losses AS
WITH ahead AS (
    SELECT partner_id, changes.day, region, resale, services, referring, resale_falls, services_falls, referring_falls,
           (falling.revenue - sum(changes.revenue) OVER later)::DECIMAL(18, 2) AS revenue,
           (falling.revenue_before + sum(changes.before) OVER later)::DECIMAL(18, 2) AS revenue_before,
           (falling.renewals - sum(changes.renewals) OVER later)::DECIMAL(18, 2) AS renewals,
           (falling.deals - sum(changes.deals) OVER later)::INT AS deals, (falling.lost - sum(changes.lost) OVER later)::INT AS lost,
           (falling.lines_sold - sum(changes.lines) OVER later)::INT AS lines_sold,
           (falling.people - sum(changes.people) OVER later)::INT AS people,
           (falling.experts - sum(changes.experts) OVER later)::INT AS experts,
           (falling.special - sum(changes.special) OVER later)::INT AS special
    FROM falling JOIN changes USING (partner_id)
    WINDOW later AS (PARTITION BY partner_id ORDER BY changes.day)
),
seen AS (
    SELECT *, growth_of(revenue, revenue_before) AS exact, round(exact, 9) AS growth, rate_of(deals, lost) AS win_rate,
           points_of(deals, people, lines_sold, exact) AS points
    FROM ahead
)
SELECT partner_id,
       min(day) FILTER (resale_falls AND resale_tier(region, revenue, people, deals, growth, win_rate, special, resale) < resale)
           AS resale_on,
       min(day) FILTER (services_falls AND services_tier(region, renewals, people, experts, win_rate, special, growth) < services)
           AS services_on,
       min(day) FILTER (referring_falls AND referral_tier(region, points, lines_sold) < referring) AS referring_on
FROM seen
GROUP BY partner_id;

-- the first five records that lapse, by category, and how many there are

CREATE OR REPLACE TEMP TABLE lapses AS
WITH lapsing AS (
    SELECT partner_id, day, opportunity_id AS id, eur AS amount, false AS is_certificate,
           list_filter([CASE WHEN sold THEN 'revenue' END, CASE WHEN is_own AND won THEN 'deals' END,
                        CASE WHEN NOT won THEN 'lost' END, CASE WHEN is_own AND won AND NOT sold THEN 'renewals' END,
                        CASE WHEN is_own AND won THEN 'lines_sold' END], lambda label: label IS NOT NULL) AS labels
    FROM moving WHERE late
    UNION ALL
    SELECT ancestor, expires_on, certification_id, NULL, true,
           CASE WHEN ancestor = member AND level = 'expert' THEN ['certified', 'experts'] ELSE ['certified'] END
    FROM certifications JOIN scope ON scope.member = certifications.partner_id
    WHERE issued_on <= DATE '2026-06-30' AND expires_on BETWEEN DATE '2026-07-01' AND DATE '2026-09-28'
),
asked AS (
    SELECT partner_id, day, id, amount, is_certificate, unnest(labels) AS label FROM lapsing
),
placed AS (
    SELECT partner_id, unnest([
               CASE WHEN resale_falls AND (label IN ('revenue', 'certified') OR (resale = 4 AND label IN ('deals', 'lost')))
                    THEN 'reseller' END,
               CASE WHEN services_falls AND label <> 'lines_sold' THEN 'msp' END,
               CASE WHEN referring_falls AND label IN ('revenue', 'certified', 'deals', 'lines_sold') THEN 'referral' END]) AS category,
           {'day': day, 'label': label, 'id': id, 'is_certificate': is_certificate, 'amount': amount} AS one
    FROM asked JOIN falling USING (partner_id)
)
SELECT partner_id, category,
       list_transform(first_five, lambda one, place: one.label
           || CASE WHEN one.is_certificate THEN ': certificate ' ELSE ': opportunity ' END || one.id
           || coalesce(' of ' || CASE WHEN one.label IN ('revenue', 'renewals') THEN one.amount::VARCHAR END, '')
           || CASE WHEN one.is_certificate THEN ' ends on ' ELSE ' leaves its window on ' END || one.day::VARCHAR
           || CASE WHEN place = 5 AND more > 0 THEN ', and ' || more::VARCHAR || ' more' ELSE '' END) AS lapsing
FROM (
    SELECT partner_id, category, min(one, 5) AS first_five, count(*) - 5 AS more
    FROM placed
    WHERE category IS NOT NULL
    GROUP BY partner_id, category
);

DROP TABLE factors;
DROP TABLE people;
DROP TABLE family;
DROP TABLE falling;
DROP TABLE scope;
DROP TABLE moving;
DROP TABLE changes;

-- one row per partner and category, with texts

WITH told AS (
    SELECT *,
           resale_tier(region, revenue_pace, people_left, deals_pace, growth_pace, win_rate_pace, special_left, resale) AS resale_pace,
           services_tier(region, renewals_pace, people_left, experts_left, win_rate_pace, special_left, growth_pace) AS services_pace,
           referral_tier(region, points_pace, lines_sold_pace) AS referring_pace,
           CASE resale
               WHEN 4 THEN NOT (revenue >= platinum(region) * 1.1 AND people >= 5.5
                                AND (reached(growth, 0.055) OR reached(win_rate, 0.715) OR special >= 2.2))
               WHEN 3 THEN NOT (revenue >= gold_kept(region) * 1.1 AND people >= 2.2)
               ELSE NOT (revenue >= silver(region) * 1.1 AND people >= 1.1) END AS resale_thin,
           CASE services
               WHEN 4 THEN NOT (experts >= 2.2 AND (renewals >= service_renewals(4, region) * 1.1)::TINYINT + (people >= 5.5)::TINYINT + 1
                                + reached(win_rate, 0.66)::TINYINT + (special >= 2.2)::TINYINT + reached(growth, 0.11)::TINYINT >= 5)
               WHEN 3 THEN NOT (experts >= 1.1 AND (renewals >= service_renewals(3, region) * 1.1)::TINYINT + (people >= 3.3)::TINYINT + 1
                                + reached(win_rate, 0.605)::TINYINT + (special >= 1.1)::TINYINT + reached(growth, 0.055)::TINYINT >= 4)
               ELSE (renewals >= 22000)::TINYINT + (people >= 2.2)::TINYINT + (experts >= 1.1)::TINYINT + reached(win_rate, 0.55)::TINYINT
                    + (special >= 1.1)::TINYINT + reached(growth, 0)::TINYINT < 2 END AS services_thin,
           NOT (points >= referral_points(referring, region) * 1.1 AND (referring < 4 OR lines_sold >= 3.3)) AS referring_thin,
           CASE WHEN is_reseller THEN resale ELSE 0 END AS place_1, CASE WHEN declared_msp THEN services ELSE 0 END AS place_2,
           CASE WHEN declared_referral THEN referring ELSE 0 END AS place_3,
           CASE WHEN place_1 > 0 AND place_1 >= place_2 AND place_1 >= place_3 THEN ['registered', 'silver', 'gold', 'platinum'][place_1]
                WHEN place_2 > 0 AND place_2 >= place_3 THEN ['authorised', 'advanced', 'expert', 'elite'][place_2]
                WHEN place_3 > 0 THEN ['member', 'bronze', 'ruby', 'diamond'][place_3] END AS headline_tier,
           {'revenue': revenue::VARCHAR, 'growth': number_text(growth), 'renewals': renewals::VARCHAR, 'deals': deals::VARCHAR,
            'lost': lost::VARCHAR, 'win_rate': number_text(win_rate), 'lines_sold': lines_sold::VARCHAR, 'certified': people::VARCHAR,
            'experts': experts::VARCHAR, 'specialised': special::VARCHAR, 'points.deals': least(deals * 2, 40)::VARCHAR,
            'points.people': number_text(least(people / 6, 1) * 30), 'points.lines': line_points(lines_sold)::VARCHAR,
            'points.growth': number_text(points_for_growth), 'points': number_text(points)} AS metrics,
           unnest([CASE WHEN declared_msp OR renewals >= 20000 THEN 'msp' END, CASE WHEN declared_referral THEN 'referral' END,
                   CASE WHEN is_reseller THEN 'reseller' END]) AS category
    FROM numbers
),
placed AS (
    SELECT *,
           CASE category WHEN 'reseller' THEN resale WHEN 'msp' THEN CASE WHEN declared_msp THEN services END ELSE referring END AS tier,
           CASE category WHEN 'reseller' THEN resale_left WHEN 'msp' THEN services_left ELSE referring_left END AS tier_left,
           CASE category WHEN 'reseller' THEN resale_pace WHEN 'msp' THEN services_pace ELSE referring_pace END AS tier_pace,
           CASE category WHEN 'reseller' THEN resale_thin WHEN 'msp' THEN services_thin ELSE referring_thin END AS thin,
           -- why it is at risk: 1 at the current pace, 2 if nothing more happens, 3 little to spare
           CASE WHEN coalesce(tier, 1) = 1 THEN 0 WHEN tier_pace < tier THEN 1 WHEN tier_left < tier THEN 2 WHEN thin THEN 3
                ELSE 0 END AS why
    FROM told WHERE category IS NOT NULL
),
-- what the next tier needs
needing AS (
    SELECT *,
           CASE category WHEN 'reseller' THEN CASE tier WHEN 1 THEN silver(region) WHEN 2 THEN gold(region)
                                                        WHEN 3 THEN platinum(region) END END AS revenue_needs,
           CASE category WHEN 'reseller' THEN CASE tier WHEN 1 THEN 1 WHEN 2 THEN gold_people(region) WHEN 3 THEN 5 END
                         WHEN 'msp' THEN CASE tier WHEN 1 THEN 2 WHEN 2 THEN 3 WHEN 3 THEN 5 END END AS people_needs,
           CASE WHEN category = 'reseller' AND tier = 2 THEN 5 END AS deals_needs,
           CASE WHEN category = 'msp' AND tier < 4 THEN service_renewals(tier + 1, region) END AS renewals_needs,
           CASE category WHEN 'msp' THEN CASE tier WHEN 1 THEN 1 WHEN 2 THEN 1 WHEN 3 THEN 2 END END AS experts_needs,
           CASE category WHEN 'reseller' THEN CASE tier WHEN 3 THEN 0.65 END
                         WHEN 'msp' THEN CASE tier WHEN 1 THEN 0.5 WHEN 2 THEN 0.55 WHEN 3 THEN 0.6 END END::DOUBLE AS win_rate_needs,
           CASE category WHEN 'reseller' THEN CASE tier WHEN 3 THEN 2 END
                         WHEN 'msp' THEN CASE tier WHEN 1 THEN 1 WHEN 2 THEN 1 WHEN 3 THEN 2 END END AS special_needs,
           CASE category WHEN 'reseller' THEN CASE tier WHEN 3 THEN 0.05 END
                         WHEN 'msp' THEN CASE tier WHEN 1 THEN 0 WHEN 2 THEN 0.05 WHEN 3 THEN 0.1 END END::DOUBLE AS growth_needs,
           CASE WHEN category = 'referral' AND tier < 4 THEN referral_points(tier + 1, region) END AS points_needs,
           CASE WHEN category = 'referral' AND tier = 3 THEN 3 END AS lines_needs
    FROM placed
),
-- how far each is: 1 where it is met
shared AS (
    SELECT *,
           CASE WHEN revenue > 0 THEN least(revenue::DOUBLE / revenue_needs::DOUBLE, 1) ELSE 0 END AS revenue_share,
           least(people / people_needs, 1) AS people_share, least(deals / deals_needs, 1) AS deals_share,
           CASE WHEN renewals > 0 THEN least(renewals::DOUBLE / renewals_needs::DOUBLE, 1) ELSE 0 END AS renewals_share,
           least(experts / experts_needs, 1) AS experts_share,
           CASE WHEN win_rate IS NULL THEN 0 ELSE least(win_rate / win_rate_needs, 1) END AS win_rate_share,
           least(special / special_needs, 1) AS special_share,
           CASE WHEN growth >= growth_needs THEN 1 WHEN growth > 0 THEN growth / growth_needs ELSE 0 END::DOUBLE AS growth_share,
           least(points / points_needs, 1) AS points_share, least(lines_sold / lines_needs, 1) AS lines_share
    FROM needing
),
-- which of the six that services ask for are taken: those met, then the nearest, then the first
ranked AS (
    SELECT *,
           CASE WHEN category = 'msp' AND tier < 4 THEN [2, 4, 5][tier] END AS wanted,
           -- a must comes before all others
           CASE WHEN tier >= 2 THEN 2 ELSE experts_share END AS experts_key,
           (renewals_share >= people_share)::TINYINT AS b12, (renewals_share >= experts_key)::TINYINT AS b13,
           (renewals_share >= win_rate_share)::TINYINT AS b14, (renewals_share >= special_share)::TINYINT AS b15,
           (renewals_share >= growth_share)::TINYINT AS b16, (people_share >= experts_key)::TINYINT AS b23,
           (people_share >= win_rate_share)::TINYINT AS b24, (people_share >= special_share)::TINYINT AS b25,
           (people_share >= growth_share)::TINYINT AS b26, (experts_key >= win_rate_share)::TINYINT AS b34,
           (experts_key >= special_share)::TINYINT AS b35, (experts_key >= growth_share)::TINYINT AS b36,
           (win_rate_share >= special_share)::TINYINT AS b45, (win_rate_share >= growth_share)::TINYINT AS b46,
           (special_share >= growth_share)::TINYINT AS b56,
           category = 'reseller' AND tier = 3 AS one_of_three,
           5 - b12 - b13 - b14 - b15 - b16 < wanted AS on_renewals,
           revenue_needs IS NOT NULL OR 4 + b12 - b23 - b24 - b25 - b26 < wanted AS on_people,
           3 + b13 + b23 - b34 - b35 - b36 < wanted AS on_experts,
           CASE WHEN one_of_three THEN win_rate_share > growth_share AND b45 = 1
                ELSE 2 + b14 + b24 + b34 - b45 - b46 < wanted END AS on_win_rate,
           CASE WHEN one_of_three THEN special_share > growth_share AND b45 = 0
                ELSE 1 + b15 + b25 + b35 + b45 - b56 < wanted END AS on_special,
           CASE WHEN one_of_three THEN growth_share >= win_rate_share AND growth_share >= special_share
                ELSE b16 + b26 + b36 + b46 + b56 < wanted END AS on_growth
    FROM shared
),
opened AS (
    SELECT *,
           revenue < revenue_needs AS revenue_open, on_people AND people < people_needs AS people_open, deals < deals_needs AS deals_open,
           on_renewals AND renewals < renewals_needs AS renewals_open, on_experts AND experts < experts_needs AS experts_open,
           on_win_rate AND NOT reached(win_rate, win_rate_needs) AS win_rate_open, on_special AND special < special_needs AS special_open,
           on_growth AND NOT reached(growth, growth_needs) AS growth_open, points < points_needs AS points_open,
           lines_sold < lines_needs AS lines_open,
           -- levers: more revenue now, more deals won, fewer lost
           CASE WHEN growth < growth_needs
                THEN greatest(round(revenue_before * CASE growth_needs WHEN 0 THEN 1 WHEN 0.05 THEN 1.05 ELSE 1.1 END, 2) - revenue,
                              0)::DECIMAL(18, 2) END AS more_revenue,
           CASE WHEN win_rate < win_rate_needs
                THEN ceil(round((win_rate_needs * (deals + lost) - deals) / (1 - win_rate_needs), 9))::INT END AS more_deals,
           CASE WHEN win_rate < win_rate_needs AND deals > 0
                THEN ceil(round(deals + lost - deals / win_rate_needs, 9))::INT END AS fewer_lost,
           least(CASE WHEN revenue_open THEN revenue_share END, CASE WHEN people_open THEN people_share END,
                 CASE WHEN deals_open THEN deals_share END, CASE WHEN renewals_open THEN renewals_share END,
                 CASE WHEN experts_open THEN experts_share END, CASE WHEN win_rate_open THEN win_rate_share END,
                 CASE WHEN special_open THEN special_share END, CASE WHEN growth_open THEN growth_share END,
                 CASE WHEN points_open THEN points_share END, CASE WHEN lines_open THEN lines_share END) AS lowest
    FROM ranked
),
spoken AS (
    SELECT *,
           CASE WHEN revenue_open
                THEN short('revenue', metrics.revenue, revenue_needs::VARCHAR, ' EUR', (revenue_needs - revenue)::VARCHAR)
                END AS revenue_line,
           CASE WHEN people_open
                THEN short('certified', metrics.certified, people_needs::VARCHAR, ' people', (people_needs - people)::VARCHAR)
                END AS people_line,
           CASE WHEN growth_open THEN 'growth: ' || coalesce(percent_text(growth), 'unknown') || ' of ' || percent_text(growth_needs)
                || coalesce(', ' || percent_text(growth_needs - growth) || ' missing (' || more_revenue::VARCHAR || ' more of revenue)', '')
                END AS growth_line,
           CASE WHEN win_rate_open THEN 'win_rate: ' || coalesce(percent_text(win_rate), 'unknown') || ' of '
                || percent_text(win_rate_needs)
                || coalesce(', ' || percent_text(win_rate_needs - win_rate) || ' missing (' || more_deals::VARCHAR || ' more of deals'
                            || coalesce(', or ' || fewer_lost::VARCHAR || ' less of lost', '') || ')', '') END AS win_rate_line,
           CASE WHEN special_open
                THEN short('specialised', metrics.specialised, special_needs::VARCHAR, '', (special_needs - special)::VARCHAR)
                END AS special_line
    FROM opened
),
-- what the tier is held by, and what of it is seen in the look that makes the risk
held AS (
    SELECT *,
           CASE why WHEN 3 THEN 1.1 ELSE 1.0 END AS margin,
           CASE tier WHEN 2 THEN silver(region) WHEN 3 THEN gold_kept(region) ELSE platinum(region) END AS revenue_held,
           CASE category WHEN 'reseller' THEN [1, 2, 5][tier - 1] ELSE [2, 3, 5][tier - 1] END AS people_held,
           CASE tier WHEN 4 THEN 2 ELSE 1 END AS two_held,
           CASE why WHEN 1 THEN revenue_pace WHEN 2 THEN revenue_left WHEN 3 THEN revenue END AS revenue_seen,
           CASE why WHEN 1 THEN renewals_pace WHEN 2 THEN renewals_left WHEN 3 THEN renewals END AS renewals_seen,
           CASE why WHEN 3 THEN people ELSE people_left END AS people_seen,
           CASE why WHEN 3 THEN experts ELSE experts_left END AS experts_seen,
           CASE why WHEN 3 THEN special ELSE special_left END AS special_seen,
           CASE why WHEN 1 THEN growth_pace WHEN 2 THEN growth_left WHEN 3 THEN growth END AS growth_seen,
           CASE why WHEN 1 THEN win_rate_pace WHEN 2 THEN win_rate_left WHEN 3 THEN win_rate END AS win_rate_seen,
           CASE why WHEN 1 THEN points_pace WHEN 2 THEN points_left WHEN 3 THEN points END AS points_seen,
           CASE why WHEN 1 THEN lines_sold_pace WHEN 2 THEN lines_sold_left WHEN 3 THEN lines_sold END AS lines_seen
    FROM spoken
)
SELECT 'channel-bench' AS program, DATE '2026-06-30' AS as_of, partner_id, category,
       CASE category WHEN 'reseller' THEN ['registered', 'silver', 'gold', 'platinum'][tier]
                     WHEN 'msp' THEN ['authorised', 'advanced', 'expert', 'elite'][tier]
                     ELSE ['member', 'bronze', 'ruby', 'diamond'][tier] END AS calculated_tier,
       calculated_tier AS earned_tier, calculated_tier AS granted_tier, NULL::VARCHAR AS previous_tier, NULL::VARCHAR AS pending_tier,
       NULL::DATE AS pending_on, headline_tier, NULL::VARCHAR AS primary_category,
       CASE WHEN tier IS NULL THEN NULL WHEN tier_left = tier THEN calculated_tier
            ELSE CASE category WHEN 'reseller' THEN ['registered', 'silver', 'gold', 'platinum'][tier_left]
                               WHEN 'msp' THEN ['authorised', 'advanced', 'expert', 'elite'][tier_left]
                               ELSE ['member', 'bronze', 'ruby', 'diamond'][tier_left] END END AS projected_tier,
       CASE WHEN tier IS NULL THEN NULL WHEN tier_pace = tier THEN calculated_tier
            ELSE CASE category WHEN 'reseller' THEN ['registered', 'silver', 'gold', 'platinum'][tier_pace]
                               WHEN 'msp' THEN ['authorised', 'advanced', 'expert', 'elite'][tier_pace]
                               ELSE ['member', 'bronze', 'ruby', 'diamond'][tier_pace] END END AS pace_tier,
       CASE WHEN tier IS NOT NULL THEN 'entered' END AS movement,
       CASE category WHEN 'reseller' THEN CASE WHEN NOT declared_reseller THEN 'undeclared' WHEN deals >= 3 THEN 'confirmed'
                                                    ELSE 'over_declared' END
                     WHEN 'msp' THEN CASE WHEN NOT declared_msp THEN 'undeclared' WHEN renewals >= 20000 THEN 'confirmed'
                                               ELSE 'over_declared' END END AS category_check,
       NULL::DATE AS reassess_on,
       []::STRUCT(kind VARCHAR, "value" VARCHAR, ends_on VARCHAR, reason VARCHAR, tier_without VARCHAR)[] AS overrides,
       CASE WHEN tier IS NOT NULL THEN DATE '2026-06-30' END AS tier_since, NULL::DATE AS grace_until, NULL::DATE AS next_review,
       NULL::VARCHAR AS per_value,
       CASE category WHEN 'reseller' THEN ['silver', 'gold', 'platinum'][tier] WHEN 'msp' THEN ['advanced', 'expert', 'elite'][tier]
                     ELSE ['bronze', 'ruby', 'diamond'][tier] END AS next_tier,
       CASE WHEN tier < 4 THEN least(floor(round(1000 * CASE category
           WHEN 'reseller' THEN CASE tier WHEN 1 THEN (revenue_share + people_share) / 2
               WHEN 2 THEN (revenue_share + people_share + deals_share) / 3
               WHEN 3 THEN (revenue_share + people_share + greatest(growth_share, win_rate_share, special_share)) / 3 END
           WHEN 'msp' THEN (CASE WHEN on_renewals THEN renewals_share ELSE 0 END + CASE WHEN on_people THEN people_share ELSE 0 END
               + CASE WHEN on_experts THEN experts_share ELSE 0 END + CASE WHEN on_win_rate THEN win_rate_share ELSE 0 END
               + CASE WHEN on_special THEN special_share ELSE 0 END + CASE WHEN on_growth THEN growth_share ELSE 0 END) / wanted
           ELSE CASE tier WHEN 3 THEN (points_share + lines_share) / 2 ELSE points_share END END, 6)) / 10, 99.9)
           END::DECIMAL(4, 1) AS progress,
       CASE WHEN coalesce(tier, 4) = 4 THEN []
            WHEN category = 'referral' THEN list_filter([
                entry('points', metrics.points, points_needs::VARCHAR, number_text(greatest(points_needs - points, 0)), points >= points_needs,
                      'all/1'),
                CASE WHEN points_open AND deals >= 20 THEN full_part('points.deals', '40', 'all/1/deals') END,
                CASE WHEN points_open AND people >= 6 THEN full_part('points.people', '30', 'all/1/people') END,
                CASE WHEN points_open AND lines_sold >= 4 THEN full_part('points.lines', '20', 'all/1/lines') END,
                CASE WHEN points_open AND growth >= 0.2 THEN full_part('points.growth', '10', 'all/1/growth') END,
                CASE WHEN tier = 3 THEN counted('lines_sold', lines_sold, metrics.lines_sold, 3, 'all/2') END],
                lambda one: one IS NOT NULL)
            WHEN category = 'msp' THEN list_filter([
                counted('renewals', renewals, metrics.renewals, renewals_needs, 'at_least/1'),
                counted('certified', people, metrics.certified, people_needs, 'at_least/2'),
                counted('experts', experts, metrics.experts, experts_needs, 'at_least/3'),
                ratio('win_rate', win_rate, metrics.win_rate, win_rate_needs, 'at_least/4'),
                lever('deals', metrics.deals, (deals + more_deals)::VARCHAR, more_deals::VARCHAR, 'at_least/4/more'),
                lever('lost', metrics.lost, (lost - fewer_lost)::VARCHAR, fewer_lost::VARCHAR, 'at_least/4/less'),
                counted('specialised', special, metrics.specialised, special_needs, 'at_least/5'),
                ratio('growth', growth, metrics.growth, growth_needs, 'at_least/6'),
                lever('revenue', metrics.revenue, (revenue + more_revenue)::VARCHAR, more_revenue::VARCHAR, 'at_least/6/more')],
                lambda one: one IS NOT NULL)
            ELSE list_filter([
                counted('revenue', revenue, metrics.revenue, revenue_needs, 'all/1'),
                counted('certified', people, metrics.certified, people_needs, 'all/2'),
                CASE WHEN tier = 2 THEN counted('deals', deals, metrics.deals, 5, 'all/3') END,
                CASE WHEN tier = 3 THEN ratio('growth', growth, metrics.growth, 0.05::DOUBLE, 'all/3/any/1') END,
                lever('revenue', metrics.revenue, (revenue + more_revenue)::VARCHAR, more_revenue::VARCHAR, 'all/3/any/1/more'),
                CASE WHEN tier = 3 THEN ratio('win_rate', win_rate, metrics.win_rate, 0.65::DOUBLE, 'all/3/any/2') END,
                lever('deals', metrics.deals, (deals + more_deals)::VARCHAR, more_deals::VARCHAR, 'all/3/any/2/more'),
                lever('lost', metrics.lost, (lost - fewer_lost)::VARCHAR, fewer_lost::VARCHAR, 'all/3/any/2/less'),
                CASE WHEN tier = 3 THEN counted('specialised', special, metrics.specialised, 2, 'all/3/any/3') END],
                lambda one: one IS NOT NULL) END AS gap,
       CASE WHEN coalesce(tier, 4) = 4 THEN NULL
            WHEN category = 'referral' THEN concat_ws('; ',
                CASE WHEN points_open
                     THEN short('points', metrics.points, points_needs::VARCHAR, ' points', number_text(points_needs - points))
                          || coalesce(' (at their most: ' || nullif(concat_ws(', ', CASE WHEN deals >= 20 THEN 'deals' END,
                              CASE WHEN people >= 6 THEN 'people' END, CASE WHEN lines_sold >= 4 THEN 'lines' END,
                              CASE WHEN growth >= 0.2 THEN 'growth' END), '') || ')', '') END,
                CASE WHEN lines_open THEN short('lines_sold', metrics.lines_sold, '3', '', (3 - lines_sold)::VARCHAR) END)
            WHEN category = 'msp' THEN concat_ws('; ',
                CASE WHEN renewals_open
                     THEN short('renewals', metrics.renewals, renewals_needs::VARCHAR, ' EUR', (renewals_needs - renewals)::VARCHAR) END,
                people_line,
                CASE WHEN experts_open
                     THEN short('experts', metrics.experts, experts_needs::VARCHAR, ' people', (experts_needs - experts)::VARCHAR) END,
                win_rate_line, special_line, growth_line)
            ELSE concat_ws('; ', revenue_line, people_line,
                CASE WHEN deals_open THEN short('deals', metrics.deals, '5', '', (5 - deals)::VARCHAR) END,
                growth_line, win_rate_line, special_line) END AS gap_summary,
       CASE WHEN points_open AND points_share <= lowest THEN 'points' WHEN lines_open THEN 'lines_sold'
            WHEN revenue_open AND revenue_share <= lowest THEN 'revenue' WHEN renewals_open AND renewals_share <= lowest THEN 'renewals'
            WHEN people_open AND people_share <= lowest THEN 'certified' WHEN deals_open AND deals_share <= lowest THEN 'deals'
            WHEN experts_open AND experts_share <= lowest THEN 'experts'
            WHEN growth_open AND growth_share <= lowest AND category = 'reseller' THEN 'growth'
            WHEN win_rate_open AND win_rate_share <= lowest THEN 'win_rate' WHEN special_open AND special_share <= lowest THEN 'specialised'
            WHEN growth_open THEN 'growth' END AS main_blocker,
       CASE WHEN tier IS NOT NULL THEN ['none', 'high', 'medium', 'low'][why + 1] END AS risk,
       CASE category WHEN 'reseller' THEN resale_on WHEN 'msp' THEN services_on ELSE referring_on END AS risk_on,
       CASE WHEN why = 0 THEN [] ELSE list_filter(CASE
           WHEN category = 'reseller' THEN [
               reason('revenue', why, revenue_seen::VARCHAR, revenue_held::VARCHAR, revenue >= revenue_held, revenue_seen >= revenue_held * margin),
               reason('certified', why, people_seen::VARCHAR, people_held::VARCHAR, people >= people_held, people_seen >= people_held * margin),
               reason('growth', why, percent_text(growth_seen), '5 %', reached(growth, 0.05), tier < 4 OR reached(growth_seen, 0.05 * margin)),
               reason('win_rate', why, percent_text(win_rate_seen), '65 %', reached(win_rate, 0.65), tier < 4 OR reached(win_rate_seen, 0.65 * margin)),
               reason('specialised', why, special_seen::VARCHAR, '2', special >= 2, tier < 4 OR special_seen >= 2 * margin)]
           WHEN category = 'msp' THEN [
               reason('renewals', why, renewals_seen::VARCHAR, service_renewals(tier, region)::VARCHAR,
                      renewals >= service_renewals(tier, region), renewals_seen >= service_renewals(tier, region) * margin),
               reason('certified', why, people_seen::VARCHAR, people_held::VARCHAR, people >= people_held, people_seen >= people_held * margin),
               reason('experts', why, experts_seen::VARCHAR, two_held::VARCHAR, experts >= two_held, experts_seen >= two_held * margin),
               reason('win_rate', why, percent_text(win_rate_seen), [50, 55, 60][tier - 1]::VARCHAR || ' %',
                      reached(win_rate, [0.5, 0.55, 0.6][tier - 1]), reached(win_rate_seen, [0.5, 0.55, 0.6][tier - 1] * margin)),
               reason('specialised', why, special_seen::VARCHAR, two_held::VARCHAR, special >= two_held, special_seen >= two_held * margin),
               reason('growth', why, percent_text(growth_seen), [0, 5, 10][tier - 1]::VARCHAR || ' %',
                      reached(growth, [0, 0.05, 0.1][tier - 1]), reached(growth_seen, [0, 0.05, 0.1][tier - 1] * margin))]
           ELSE [
               reason('points', why, number_text(points_seen), referral_points(tier, region)::VARCHAR,
                      points >= referral_points(tier, region), points_seen >= referral_points(tier, region) * margin),
               reason('lines_sold', why, number_text(lines_seen), '3', lines_sold >= 3, tier < 4 OR lines_seen >= 3 * margin)] END,
           lambda one: one IS NOT NULL) || coalesce(lapsing, []) END AS risk_reasons,
       false AS provisional, []::VARCHAR[] AS provisional_reasons, metrics, NULL::VARCHAR AS benefits, NULL::VARCHAR AS state, 1 AS format
FROM held
LEFT JOIN losses USING (partner_id)
LEFT JOIN lapses USING (partner_id, category)
