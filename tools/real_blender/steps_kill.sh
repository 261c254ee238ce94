# A clip in a real Blender window: Blender is killed with SIGKILL while keys appear, restarted, and the next click resumes.
button() { find_text Correctives 850 60 540 800; }
press() { local p; p=$(button); lap "Correctives at ${p:-NOT FOUND}"; [ -n "$p" ] && xdotool mousemove ${p% *} $((${p#* } + 31)) && sleep 0.4 && xdotool click 1; }
ready() { for i in $(seq 1 40); do [ -n "$(button)" ] && break; sleep 1; done; }
ready
for round in 1 2 3; do
  press; sleep $((${FIRST_SECONDS:-10} + RANDOM % 5)); shot ${round}_growing
  kill -9 $B; lap "Blender killed"; sleep 3
  for p in /proc/[0-9]*; do grep -qa backend.serving.server $p/cmdline 2>/dev/null && lap "a backend outlived Blender: ${p#/proc/}"; done
  blender --gpu-backend opengl --window-geometry 0 0 1400 900 --python start.py > /job/blender-$round.log 2>&1 & B=$!
  for i in $(seq 1 120); do id=$(xdotool search --onlyvisible --class '[Bb]lender' 2>/dev/null | tail -1); [ -n "$id" ] && break; sleep 0.5; done
  sleep ${SETTLE:-6}; xdotool windowsize $id 1400 880 2>/dev/null; xdotool windowfocus $id 2>/dev/null; ready
done
press; sleep ${RUN_SECONDS:-40}; xdotool mousemove 450 600; sleep 1; shot 4_resumed
