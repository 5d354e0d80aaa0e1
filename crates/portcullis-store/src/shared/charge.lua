-- Charges a request to several counters, or to none where one that is enforced refuses it. Atomic, and on this server's
-- clock. Times are in microseconds.
--
-- ARGV[1]: 'charge', or 'debit' to charge whatever is allowed (a negative cost takes back).
-- Then for each key: kind, cost, extra, enforced ('1'), and
--   kind 'g' (GCRA): what one request owes, and what may be owed
--   kind 'f' and 's' (fixed and sliding window): max, begin and end of a window, and the end of the next one
-- A cost of 0 asks whether one more would be allowed. Up to `extra` more are charged as far as there is room.
--
-- Answers with the time and, for each key: allowed, extra that was charged, remaining, until one more, until all is there
-- again. Where this server's time lies in neither window, the answer is the time alone.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local debit = ARGV[1] == 'debit'
local at = 2
local counters = {}
local refused = false

for number = 1, #KEYS do
  local counter = {
    kind = ARGV[at], cost = tonumber(ARGV[at + 1]), extra = tonumber(ARGV[at + 2]), enforced = ARGV[at + 3] == '1',
  }
  local wanted = counter.cost
  if wanted == 0 and not debit then wanted = 1 end
  local there = redis.call('GET', KEYS[number])
  if counter.kind == 'g' then
    counter.unit, counter.allowance = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
    at = at + 6
    local owed = 0
    if there then
      local arrival, unit = string.match(there, '^(%d+) (%d+)$')
      if arrival then
        owed = math.max(tonumber(arrival) - now, 0)
        unit = tonumber(unit)
        -- More than can ever be owed: this server's clock was set back. All that may be owed is.
        if unit == counter.unit and owed > counter.allowance * 2 then owed = counter.allowance end
        -- The limit is another one than it was: as many requests count.
        if unit ~= counter.unit then owed = math.min(owed * counter.unit / unit, counter.allowance) end
      end
    end
    counter.owed = math.ceil(owed)
    counter.allowed = counter.owed + wanted * counter.unit <= counter.allowance
  else
    local max, begin, middle, last =
      tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
    at = at + 8
    local stop = middle
    if now >= middle then begin, stop = middle, last end
    if now < begin or now >= stop then return { string.format('%.0f', now) } end
    counter.max, counter.begin, counter.stop = max, begin, stop
    counter.current, counter.previous = 0, 0
    if there then
      local since, upto, current, previous = string.match(there, '^(%d+) (%d+) (%d+) (%d+)$')
      if since then
        since, upto = tonumber(since), tonumber(upto)
        if since >= begin then
          counter.current, counter.previous = tonumber(current), tonumber(previous)
        elseif upto >= begin then
          counter.previous = tonumber(current)
        end
      end
    end
    if counter.kind == 'f' then counter.previous = 0 end
    local carried = math.ceil(counter.previous * (stop - now) / (stop - begin))
    counter.used = carried + counter.current
    counter.allowed = counter.used + wanted <= max
  end
  if counter.enforced and not counter.allowed then refused = true end
  counters[number] = counter
end

local answer = { string.format('%.0f', now) }
local function say(number) answer[#answer + 1] = string.format('%.0f', number) end

for number = 1, #KEYS do
  local counter = counters[number]
  local charges = debit or (counter.allowed and not refused)
  local extra = 0
  if counter.kind == 'g' then
    local owed = counter.owed
    if charges then
      owed = math.max(owed + counter.cost * counter.unit, 0)
      extra = math.max(math.min(counter.extra, math.floor((counter.allowance - owed) / counter.unit)), 0)
      owed = math.min(owed + extra * counter.unit, counter.allowance * 2)
      if owed > 0 then
        local life = math.ceil(owed / 1000) + 1000
        redis.call('SET', KEYS[number], string.format('%.0f %.0f', now + owed, counter.unit), 'PX', life)
      elseif counter.cost ~= 0 then
        redis.call('DEL', KEYS[number])
      end
    end
    local left = math.max(math.floor((counter.allowance - owed) / counter.unit), 0)
    local wanted = math.max(counter.cost, 1)
    say(counter.allowed and 1 or 0)
    say(extra)
    say(left)
    say(math.max(owed + wanted * counter.unit - counter.allowance, 0))
    say(owed)
  else
    if charges then
      counter.current = math.max(counter.current + counter.cost, 0)
      counter.used = math.max(counter.used + counter.cost, 0)
      extra = math.max(math.min(counter.extra, counter.max - counter.used), 0)
      counter.current, counter.used = counter.current + extra, counter.used + extra
      if counter.cost ~= 0 or extra > 0 then
        local length = counter.stop - counter.begin
        local life = counter.stop - now
        if counter.kind == 's' then life = life + length end
        redis.call('SET', KEYS[number],
          string.format('%.0f %.0f %.0f %.0f', counter.begin, counter.stop, counter.current, counter.previous),
          'PX', math.ceil(life / 1000) + 1000)
      end
    end
    local rest = counter.stop - now
    local left = math.max(counter.max - counter.used, 0)
    local wait = 0
    local wanted = math.max(counter.cost, 1)
    if left < wanted then
      wait = rest
      local length = counter.stop - counter.begin
      if counter.kind == 's' then
        local room = counter.max - counter.current - wanted
        if room >= 0 then
          wait = math.max(rest - length * room / math.max(counter.previous, 1), 0)
        else
          wait = rest + math.max(length - length * (counter.max - wanted) / math.max(counter.current, 1), 0)
        end
      end
    end
    say(counter.allowed and 1 or 0)
    say(extra)
    say(left)
    say(math.ceil(wait))
    say(rest)
  end
end
return answer
