-- Requests for wrk: depth of the pipeline, method, path and body from the command line
-- (after `--`), and a summary as one line of JSON behind the marker SUMMARY.
--
-- The requests of one pipeline are built once. wrk asks `wrk.format` for its static request,
-- so handing it all of them at once keeps Lua out of the measured loop.

function init(args)
  local depth = tonumber(args[1])
  wrk.method = args[2]
  if args[3] and args[3] ~= "" then
    wrk.body = args[3]
    wrk.headers["Content-Type"] = "application/json"
  end
  local pipeline = wrk.format():rep(depth)
  wrk.format = function() return pipeline end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'SUMMARY {"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%.1f,"p99_us":%.1f,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
