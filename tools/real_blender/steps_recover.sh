# User actions in a real Blender window, for a driver that offers shot, click and find_text (xdotool under Xvfb).
# The button is one row below "Pose Correctives"; OCR would confuse its label with the panel's title.
button() { find_text Correctives 850 60 270 500; }
press() { local p; p=$(button); lap "Correctives at ${p:-NOT FOUND}"; [ -n "$p" ] && xdotool mousemove ${p% *} $((${p#* } + 31)) && sleep 0.4 && xdotool click 1; }
for i in $(seq 1 20); do [ -n "$(button)" ] && break; sleep 1; done  # the tab opens when Blender has drawn the sidebar
shot 1_panel
press; sleep 1.2; shot 2_running
sleep ${RUN_SECONDS:-25}; xdotool mousemove 500 650; sleep 1; shot 3_done
xdotool mousemove 450 700 key ctrl+z; sleep 3; shot 4_undone
press; sleep 1.0; xdotool mousemove 450 700; xdotool key Escape; sleep 2.5; shot 5_cancelled
for p in /proc/[0-9]*; do grep -qa backend.serving.server $p/cmdline 2>/dev/null && kill -9 ${p#/proc/}; done; lap "backend killed"; sleep 2; shot 6_killed
press; sleep ${RUN_SECONDS:-25}; xdotool mousemove 450 700; sleep 1; shot 7_restarted
