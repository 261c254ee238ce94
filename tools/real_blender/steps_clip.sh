# A clip in a real Blender window: run, cancelled while keys appear, resumed, played, undone.
# The button is one row below "Pose Correctives".
button() { find_text Correctives 850 60 540 800; }
press() { local p; p=$(button); lap "Correctives at ${p:-NOT FOUND}"; [ -n "$p" ] && xdotool mousemove ${p% *} $((${p#* } + 31)) && sleep 0.4 && xdotool click 1; }
for i in $(seq 1 20); do [ -n "$(button)" ] && break; sleep 1; done
shot 1_panel
press; sleep ${FIRST_SECONDS:-14}; shot 2_growing
xdotool mousemove 450 600; xdotool key Escape; sleep 3; shot 3_cancelled
press; sleep ${RUN_SECONDS:-25}; xdotool mousemove 450 600; sleep 1; shot 4_resumed
xdotool key Right Right Right Right Right Right Right Right Right Right; sleep 2; shot 5_later
p=$(find_text Next 850 60 540 800); lap "Next Problem at ${p:-NOT FOUND}"
[ -n "$p" ] && xdotool mousemove $p && sleep 0.4 && xdotool click 1; sleep 2; shot 6_problem
xdotool mousemove 450 600; sleep 0.5; for i in 1 2 3; do xdotool key ctrl+z; sleep 2; done; shot 7_undone
