-- name: prune by one value
SELECT count(*) FROM trips WHERE region = 'north, far'

-- name: prune by a range
SELECT * FROM trips WHERE day BETWEEN DATE '2024-01-02' AND DATE '2024-02-28'

-- name: prune by null
SELECT count(*) FROM trips WHERE region IS NULL AND day > DATE '2024-02-01'

-- name: prune by or and in
SELECT count(*) FROM trips WHERE region = 'east' AND day IN (DATE '2024-01-01', DATE '2024-03-15') OR month(day) = 2

-- name: prune to nothing
SELECT region, sum(fare) FROM trips WHERE day = DATE '1999-01-01' GROUP BY region

-- name: prune through a join
SELECT t.driver, sum(fare) FROM trips t JOIN customer ON c_custkey = driver AND t.region = 'east' GROUP BY t.driver

-- name: prune not through an outer join
SELECT count(*) FROM customer LEFT JOIN trips t ON c_custkey = driver AND t.region = 'east'

-- name: prune not by other columns
SELECT count(*) FROM trips WHERE region = note

-- name: prune each use by itself
SELECT count(*) FROM trips a JOIN trips b ON a.id = b.id WHERE a.region = 'east' AND b.region = 'north, far'

-- name: prune inside a subquery
SELECT count(*) FROM customer WHERE c_custkey IN (SELECT driver FROM trips WHERE day = DATE '2024-01-01')
