-- For wrk: every request holds the next short text of a file, one JSON body a line.
-- Arguments: the file, the path, the delay between requests of a connection in ms (mean; 0: none).

local bodies, place, mean = {}, 0, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    bodies[#bodies + 1] = line
  end
  wrk.method = "POST"
  wrk.path = arguments[2]
  wrk.headers["Content-Type"] = "application/json"
  mean = tonumber(arguments[3])
  math.randomseed(7)
end

function request()
  place = place % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[place])
end

function delay()
  if mean == 0 then
    return 0
  end
  return math.random(0, 2 * mean)
end

function done(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.3f, "failed": %d, "p50_ms": %.2f, "p99_ms": %.2f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
