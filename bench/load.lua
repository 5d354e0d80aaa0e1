-- Sends requests that were written before the run starts, each in turn, so that the script itself costs little.
-- Arguments: a file with one value a line and the field that they are sent in; or one file, which is posted as JSON; or none.
local turn, count, requests = 0, 0, {}
local threads = 0

function setup(thread)
  -- Each thread starts at another key, so that two threads do not walk in step.
  thread:set("first", threads * 4999)
  threads = threads + 1
end

function init(arguments)
  if arguments[2] then
    for value in io.lines(arguments[1]) do
      count = count + 1
      requests[count] = wrk.format("GET", "/", { ["Host"] = wrk.headers["Host"], [arguments[2]] = value })
    end
  elseif arguments[1] then
    local file = assert(io.open(arguments[1], "rb"))
    local fields = { ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/json" }
    count = 1
    requests[1] = wrk.format("POST", wrk.path, fields, file:read("*a"))
    file:close()
  else
    count = 1
    requests[1] = wrk.format("GET", "/")
  end
  turn = first % count
end

function request()
  turn = turn + 1
  if turn > count then turn = 1 end
  return requests[turn]
end

-- One line for the program that started wrk; everything else on the output is for people.
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    "RESULT {\"requests\":%d,\"duration_us\":%d,\"not_success\":%d,\"connect\":%d,\"read\":%d,\"write\":%d,\"timeout\":%d,\"p50_us\":%d,\"p99_us\":%d}\n",
    summary.requests, summary.duration, errors.status, errors.connect, errors.read, errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
