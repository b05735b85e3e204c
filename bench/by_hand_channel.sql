-- Metrics and tiers of bench/program/channel.yaml as one would tune them by hand for DuckDB, for 2026-06-30: one pass over the
-- opportunities with product lines as bits of a mask, one grouping of the certificates by person, and distinct people over
-- the subtree for the accounts alone that have one. Tables: partners, opportunities, certifications, rates.
WITH RECURSIVE
days AS (
    SELECT unnest(generate_series(DATE '2024-07-01', DATE '2026-06-30', INTERVAL 1 DAY))::DATE AS day
),
periods AS (
    SELECT currency, effective_from AS first_day,
           lead(effective_from, 1, DATE '9999-12-31') OVER (PARTITION BY currency ORDER BY effective_from) AS next_first_day,
           CASE currency WHEN 'EUR' THEN 1 ELSE round(1 / rate, 12) END::DECIMAL(18, 12) AS factor
    FROM rates
),
factors AS (
    SELECT currency, day, factor FROM days JOIN periods ON day >= first_day AND day < next_first_day
),
deals AS (
    SELECT partner_id, is_won, type, closed_on >= DATE '2025-07-01' AS late,
           CASE product_line WHEN 'network' THEN 1 WHEN 'cloud' THEN 2 WHEN 'security' THEN 4 WHEN 'storage' THEN 8 END AS line,
           round(amount * factor, 2)::DECIMAL(19, 2) AS eur
    FROM opportunities AS deal
    JOIN factors ON factors.currency = deal.currency AND factors.day = deal.closed_on
    WHERE deal.closed_on BETWEEN DATE '2024-07-01' AND DATE '2026-06-30'
      AND deal.is_closed AND deal.created_on <= DATE '2026-06-30'
),
own AS (
    SELECT partner_id,
           sum(eur) FILTER (is_won AND late AND coalesce(type <> 'renewal', true)) AS revenue,
           sum(eur) FILTER (is_won AND NOT late AND coalesce(type <> 'renewal', true)) AS revenue_before,
           sum(eur) FILTER (is_won AND late AND type = 'renewal') AS renewals,
           count(*) FILTER (is_won AND late) AS deals,
           count(*) FILTER (NOT is_won AND late) AS lost,
           bit_count(bit_or(line) FILTER (is_won AND late)) AS lines_sold
    FROM deals
    GROUP BY partner_id
),
people AS (
    SELECT partner_id, person_id, bool_or(level = 'expert') AS expert,
           bit_or(CASE product_line WHEN 'network' THEN 1 WHEN 'cloud' THEN 2 WHEN 'security' THEN 4 WHEN 'storage' THEN 8 END) AS lines
    FROM certifications
    WHERE issued_on <= DATE '2026-06-30' AND coalesce(expires_on > DATE '2026-06-30', true)
    GROUP BY partner_id, person_id
),
certified AS (
    SELECT partner_id, count(*) AS certified, count(*) FILTER (expert) AS experts,
           (sum(lines & 1) >= 2)::INT + (sum(lines & 2) >= 4)::INT + (sum(lines & 4) >= 8)::INT + (sum(lines & 8) >= 16)::INT AS specialised
    FROM people
    GROUP BY partner_id
),
above AS (
    SELECT partner_id AS member, partner_id AS ancestor FROM partners
    UNION ALL
    SELECT above.member, partners.parent_id
    FROM above JOIN partners ON partners.partner_id = above.ancestor
    WHERE partners.parent_id IS NOT NULL
),
family AS (
    SELECT * FROM above WHERE ancestor IN (SELECT parent_id FROM partners)
),
below AS (
    SELECT ancestor AS partner_id, sum(revenue) AS revenue, sum(revenue_before) AS revenue_before
    FROM family JOIN own ON own.partner_id = family.member
    GROUP BY ancestor
),
people_below AS (
    SELECT ancestor AS partner_id, count(*) AS certified
    FROM (SELECT DISTINCT ancestor, person_id FROM family JOIN people ON people.partner_id = family.member)
    GROUP BY ancestor
),
numbers AS (
    SELECT partners.partner_id, region, declared_categories,
           coalesce(below.revenue, own.revenue, 0)::DECIMAL(28, 2) AS revenue,
           coalesce(below.revenue_before, own.revenue_before, 0)::DECIMAL(28, 2) AS revenue_before,
           coalesce(renewals, 0)::DECIMAL(28, 2) AS renewals,
           coalesce(deals, 0) AS deals, coalesce(lost, 0) AS lost, coalesce(lines_sold, 0) AS lines_sold,
           coalesce(people_below.certified, certified.certified, 0) AS certified,
           coalesce(experts, 0) AS experts, coalesce(specialised, 0) AS specialised
    FROM partners
    LEFT JOIN own USING (partner_id)
    LEFT JOIN below USING (partner_id)
    LEFT JOIN certified USING (partner_id)
    LEFT JOIN people_below USING (partner_id)
),
ratios AS (
    SELECT *,
           round((revenue - revenue_before)::DOUBLE / nullif(revenue_before, 0), 9) AS growth,
           round(deals / nullif(deals + lost, 0), 9) AS win_rate
    FROM numbers
),
scored AS (
    SELECT *,
           least(least(deals * 2, 40) + least(certified / 6, 1) * 30
                 + CASE WHEN lines_sold >= 4 THEN 20 WHEN lines_sold >= 3 THEN 15 WHEN lines_sold >= 1 THEN 5 ELSE 0 END
                 + coalesce(least(greatest(growth / 0.02, 0), 10), 0), 100) AS points,
           coalesce(growth >= 0.05, false) AS grows, coalesce(win_rate >= 0.65, false) AS wins
    FROM ratios
),
tiers AS (
    SELECT *,
           CASE WHEN revenue >= CASE region WHEN 'EMEA' THEN 400000 WHEN 'APAC' THEN 300000 ELSE 500000 END
                     AND certified >= 5 AND (grows OR wins OR specialised >= 2) THEN 4
                WHEN revenue >= CASE region WHEN 'EMEA' THEN 160000 WHEN 'APAC' THEN 120000 ELSE 200000 END
                     AND certified >= CASE region WHEN 'APAC' THEN 2 ELSE 3 END AND deals >= 5 THEN 3
                WHEN revenue >= CASE region WHEN 'EMEA' THEN 50000 WHEN 'APAC' THEN 40000 ELSE 60000 END
                     AND certified >= 1 THEN 2
                ELSE 1 END AS resale,
           CASE WHEN (renewals >= CASE region WHEN 'LATAM' THEN 90000 ELSE 150000 END)::INT + (certified >= 5)::INT
                     + (experts >= 2)::INT + coalesce(win_rate >= 0.6, false)::INT + (specialised >= 2)::INT
                     + coalesce(growth >= 0.1, false)::INT >= 5 AND experts >= 2 THEN 4
                WHEN (renewals >= CASE region WHEN 'LATAM' THEN 40000 ELSE 60000 END)::INT + (certified >= 3)::INT
                     + (experts >= 1)::INT + coalesce(win_rate >= 0.55, false)::INT + (specialised >= 1)::INT
                     + grows::INT >= 4 AND experts >= 1 THEN 3
                WHEN (renewals >= 20000)::INT + (certified >= 2)::INT + (experts >= 1)::INT
                     + coalesce(win_rate >= 0.5, false)::INT + (specialised >= 1)::INT + coalesce(growth >= 0, false)::INT >= 2 THEN 2
                ELSE 1 END AS services,
           CASE WHEN points >= CASE region WHEN 'APAC' THEN 70 ELSE 75 END AND lines_sold >= 3 THEN 4
                WHEN points >= CASE region WHEN 'APAC' THEN 40 ELSE 45 END THEN 3
                WHEN points >= 20 THEN 2
                ELSE 1 END AS referring
    FROM scored
),
standings AS (
    SELECT partner_id, 'reseller' AS category, 1 AS place, resale AS position,
           ['registered', 'silver', 'gold', 'platinum'][resale] AS tier
    FROM tiers WHERE list_contains(declared_categories, 'reseller') OR deals >= 3
    UNION ALL
    SELECT partner_id, 'msp', 2, services, ['authorised', 'advanced', 'expert', 'elite'][services]
    FROM tiers WHERE list_contains(declared_categories, 'msp')
    UNION ALL
    SELECT partner_id, 'referral', 3, referring, ['member', 'bronze', 'ruby', 'diamond'][referring]
    FROM tiers WHERE list_contains(declared_categories, 'referral')
)
SELECT partner_id, category, tier AS calculated_tier, tier AS granted_tier,
       first_value(tier) OVER (PARTITION BY partner_id ORDER BY position DESC, place) AS headline_tier
FROM standings
ORDER BY partner_id, category
