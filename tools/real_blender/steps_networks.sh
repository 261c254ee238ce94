# A network with test weights, in a real Blender window: the list of models, the click, the notice.
button() { find_text Correctives 850 60 270 500; }
for i in $(seq 1 20); do [ -n "$(button)" ] && break; sleep 1; done
sleep 6; shot 1_chosen
p=$(button)
xdotool mousemove $((${p% *} + 40)) $((${p#* } - 45)); sleep 0.3; xdotool click 1; sleep 1.5; shot 2_models
xdotool key Escape; sleep 0.5
p=$(button); lap "Correctives at ${p:-NOT FOUND}"
xdotool mousemove ${p% *} $((${p#* } + 31)); sleep 0.4; xdotool click 1; sleep ${RUN_SECONDS:-25}
xdotool mousemove 500 650; sleep 1; shot 3_done
